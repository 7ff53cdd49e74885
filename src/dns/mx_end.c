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

void mx_note_failure(struct dns_mx *mx, const char *name, uint16_t type,
                     const struct dns_answer *answer)
{
    bool ours = dns_answer_is_ours(answer);

    if (mx->failure.size && (mx->ours || !ours))
        return;
    mx->ours = ours;
    buffer_clear(&mx->failure);
    dns_answer_explain(answer, span_from_cstr(name), type, &mx->failure);
}

/* RFC 3463 section 3.5: X.4.3 is a directory server that failed; X.3.0 is this system. */
void mx_fail(struct dns_mx *mx)
{
    mx_end(mx, mx->ours ? DNS_OURS : DNS_TEMPORARY, mx->ours ? "4.3.0" : "4.4.3");
    buffer_append_span(&mx->text, buffer_span(&mx->failure));
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
