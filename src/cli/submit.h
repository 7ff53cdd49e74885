/*
 * A small SMTP client over the server's socket for local submission: blocking, one message a
 * connection. The server learns who we are from the kernel, not from us.
 */
#pragma once

#include "base/buffer.h"
#include "cli/submission.h"

enum submit_result {
    SUBMIT_ACCEPTED,  /* 250 after the message: the server has it on disk */
    SUBMIT_REFUSED,   /* 5xx: it never will */
    SUBMIT_DEFERRED,  /* 4xx: not now */
    SUBMIT_UNREACHED, /* nobody answers, or the dialogue broke: it may not have it */
};

struct submit_report {
    struct buffer text; /* on SUBMIT_ACCEPTED the server's last reply; else a line for each cause */
    enum submit_result *each; /* each recipient's own: accepted, refused or deferred; may be NULL */
    size_t refused_count, deferred_count; /* of them */
    bool unheard; /* SUBMIT_UNREACHED without a greeting: it has heard nothing of the message */
};

/* A connected descriptor or -errno. */
int submit_connect(const char *path);

/* Speaks on `fd` from the greeting to QUIT. When recipients are refused or deferred the message
 * goes to the others if `partly`, else to nobody. */
enum submit_result submit_send(int fd, const struct submission *s, bool partly,
                               struct submit_report *report);
