/* The words of reports, by language. Texts are UTF-8; %-directives are named beside each. */
#pragma once

#include "mail/report.h"

struct report_words {
    const char *from;                       /* display name of the sender of reports */
    const char *subject[REPORT_KIND_COUNT]; /* ASCII: it stands in a header field */
    /* The first paragraph: what happened and who must act. %s: duration, of a delay only. */
    const char *opening[REPORT_KIND_COUNT];
    const char *message;   /* "Your message" block: id, time of arrival */
    const char *reply;     /* before the station's words. %s: host */
    const char *until;     /* delayed: %s: time */
    const char *expired;   /* %s: time of arrival */
    const char *given_up;  /* in the place of what a status means: an administrator of ours did */
    const char *instead;   /* %s: address */
    const char *unreached; /* in the place of what a status means, when no server said anything */
    const char *questions; /* %s: postmaster */
};

extern const struct report_words report_words[REPORT_LANGUAGE_COUNT];

/* What this status means and who must act, one or two sentences: the most exact that is known of
 * "5.1.1", then of its class "x.1.x", then of its first digit. Of a delay nothing that holds only
 * once it has failed. Never NULL. */
const char *report_explain(enum report_kind kind, struct span status,
                           enum report_language language);
