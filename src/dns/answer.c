#include "dns/answer.h"

#include "base/printable.h"
#include "dns/type.h"
#include <errno.h>

/* A bogus answer counts as none (RFC 4035 5.5 has the resolver call it a failure). What is
 * neither NOERROR nor NXDOMAIN is the server's trouble, whatever it says about itself. */
enum dns_outcome dns_answer_outcome(const struct dns_answer *answer)
{
    if (answer->error || answer->security == DNS_BOGUS)
        return DNS_OUTCOME_FAILED;
    if (answer->rcode == DNS_RCODE_NXDOMAIN)
        return DNS_OUTCOME_NO_NAME;
    if (answer->rcode != DNS_RCODE_NOERROR)
        return DNS_OUTCOME_FAILED;
    return answer->rdata_count ? DNS_OUTCOME_DATA : DNS_OUTCOME_NO_DATA;
}

bool dns_answer_is_ours(const struct dns_answer *answer)
{
    return answer->error == -EIO;
}

const char *dns_rcode_name(unsigned rcode)
{
    static const char *const names[] = {"NOERROR",  "FORMERR", "SERVFAIL",
                                        "NXDOMAIN", "NOTIMP",  "REFUSED"};
    return rcode < ARRAY_SIZE(names) ? names[rcode] : "an unknown code";
}

const char *dns_type_name(unsigned type)
{
    switch (type) {
    case DNS_TYPE_A:
        return "A";
    case DNS_TYPE_MX:
        return "MX";
    case DNS_TYPE_AAAA:
        return "AAAA";
    default:
        return "record";
    }
}

/* For people; a forged answer and a broken signature look the same from here. */
static const char *reason(const struct dns_answer *answer)
{
    if (answer->error == -ETIMEDOUT)
        return "no name server answered in time";
    if (answer->error)
        return "the resolver couldn't ask";
    if (answer->security == DNS_BOGUS)
        return "the answer is forged or its DNSSEC signatures are broken";
    return dns_rcode_name(answer->rcode);
}

int dns_answer_explain(const struct dns_answer *answer, struct span name, unsigned type,
                       struct buffer *out)
{
    buffer_printf(out, "the question for the %s of " SPAN_FMT " failed: %s", dns_type_name(type),
                  SPAN_ARG(span_first(name, 256)), reason(answer));
    if (answer->why.size) {
        buffer_append_span(out, SPAN(" ("));
        printable_append(out, span_first(answer->why, 300));
        buffer_append_byte(out, ')');
    }
    return buffer_error(out);
}
