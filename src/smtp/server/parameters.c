/* The parameters behind the path of MAIL and RCPT (RFC 5321 4.1.1.11). One that is refused is
 * quoted: a list of them doesn't show which is meant. */
#include "smtp/server/session.h"

const struct smtp_reply smtp_no_such_parameter = {555, "5.5.4",
                                                  "this parameter is not offered here"};
const struct smtp_reply smtp_bad_parameter = {
    501, "5.5.4", "this parameter has a wrong value, or is twice there"};
static const struct smtp_reply unreadable = {501, "5.5.4", "this parameter can't be read"};

/* Without EHLO nothing was offered, so there are none to use (RFC 5321 2.2.1). */
const struct smtp_reply *smtp_take_parameters(struct smtp_server *s, struct span rest,
                                              smtp_take_parameter_fn *take, void *into,
                                              struct span *out_word)
{
    const struct smtp_reply *reply = NULL;
    struct smtp_parameter p;
    int r;

    do {
        r = smtp_parameter_next(&rest, &p);
        if (r < 0)
            reply = &unreadable;
        else if (r > 0)
            reply = s->extended ? take(s, into, &p) : &smtp_no_such_parameter;
    } while (r > 0 && !reply);
    *out_word = reply ? p.word : span_of("", 0);
    return reply;
}
