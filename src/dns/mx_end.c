/* How the MX machine ends. */
#include "dns/mx_impl.h"

#include <stdarg.h>

void mx_end(struct dns_mx *mx, enum dns_verdict verdict, const char *status)
{
    mx->stage = MX_STAGE_DONE;
    mx->verdict = verdict;
    mx->status = status;
    mx->next_question = mx->question_count;
}

/* RFC 3463 section 3.5: X.4.3 is a directory server that failed; X.3.0 is this system. */
const char *mx_failure_status(const struct dns_mx *mx)
{
    return mx->unasked ? "4.3.0" : "4.4.3";
}

void mx_finish(struct dns_mx *mx, enum dns_verdict verdict, const char *status, const char *format,
               ...)
{
    va_list args;

    mx_end(mx, verdict, status);
    va_start(args, format);
    buffer_vprintf(&mx->text, format, args);
    va_end(args);
}
