/*
 * The machine's life: questions, answers, verdict. Which hosts there are is mx_hosts.c's, which
 * addresses they have and what that means mx_addresses.c's. Question 0 is the MX; then host i has
 * questions 1 + 2i (AAAA) and 2 + 2i (A): so a number says what it was about, and an answer that
 * comes twice is known by the question's state.
 */
#include "dns/mx_impl.h"

#include "dns/type.h"
#include <errno.h>
#include <stdlib.h>

/* Room for two names of 256 bytes and the clause around them. */
enum { TEXT_MAX = 1500 };

static const uint16_t family_types[MX_FAMILIES] = {DNS_TYPE_AAAA, DNS_TYPE_A};

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). */
static int take_literal(struct dns_mx *mx, struct span domain)
{
    struct dns_ip ip;

    if (domain.size < 3 || domain.size > DNS_WIRE_MAX || domain.data[domain.size - 1] != ']')
        return -EINVAL;
    struct span text = span_first(span_from(domain, 1), domain.size - 2);
    if (span_starts_nocase(text, SPAN("IPv6:")))
        text = span_from(text, 5);
    if (ip_parse(text, ip.bytes) < 0)
        return -EINVAL;
    memcpy(mx->domain, domain.data, domain.size);
    mx->literal = true;
    mx_take_implicit(mx);
    if (mx->host_count == 0)
        return -ENOMEM;
    mx_add_address(mx, 0, &ip);
    mx_conclude(mx);
    return 0;
}

static int take_domain(struct dns_mx *mx, struct span domain)
{
    uint8_t wire[DNS_WIRE_MAX];
    size_t size, used;

    if (domain.size && domain.data[0] == '[')
        return take_literal(mx, domain);
    if (dns_name_from_text(domain, wire, &size) < 0)
        return -EINVAL;
    mx->question_count = 1;
    return dns_name_to_text(span_of(wire, size), mx->domain, &used);
}

int dns_mx_new(struct span domain, const struct dns_mx_rules *rules, struct dns_mx **out)
{
    struct dns_mx *mx = calloc(1, sizeof(*mx));

    if (!mx)
        return -ENOMEM;
    mx->rules = *rules;
    mx->random = rules->seed;
    mx->status = "";
    mx->text = mx->failure = BUFFER_LIMITED(TEXT_MAX);
    int r = take_domain(mx, domain);
    if (r < 0)
        dns_mx_free(mx);
    else
        *out = mx;
    return r;
}

void dns_mx_free(struct dns_mx *mx)
{
    if (!mx)
        return;
    buffer_done(&mx->text);
    buffer_done(&mx->failure);
    free(mx->hosts);
    free(mx->lookups);
    free(mx);
}

/* Marked as asked before it is given out: the answer may come within the caller's asking. */
bool dns_mx_question(struct dns_mx *mx, struct dns_question *out)
{
    unsigned number = mx->next_question;

    if (number >= mx->question_count || number - mx->answered_count >= DNS_QUESTIONS_OPEN)
        return false;
    mx->next_question++;
    mx->questions[number] = MX_ASKED;
    *out = (struct dns_question){.number = number, .type = DNS_TYPE_MX};
    if (number > 0)
        out->type = family_types[(number - 1) % MX_FAMILIES];
    out->name = span_from_cstr(number ? mx->hosts[(number - 1) / MX_FAMILIES].name : mx->domain);
    return true;
}

static void take_mx(struct dns_mx *mx, const struct dns_answer *answer)
{
    mx->secure = answer->security == DNS_SECURE;
    switch (dns_answer_outcome(answer)) {
    case DNS_OUTCOME_DATA:
        mx_take_records(mx, answer);
        break;
    case DNS_OUTCOME_NO_DATA:
        mx_take_implicit(mx);
        break;
    case DNS_OUTCOME_NO_NAME:
        mx_finish(mx, DNS_PERMANENT, "5.1.2", "the domain %.256s does not exist (NXDOMAIN)",
                  mx->domain);
        break;
    case DNS_OUTCOME_FAILED:
        /* Never on to its address: its MX may be there, and mail would go astray. */
        mx_note_failure(mx, mx->domain, DNS_TYPE_MX, answer);
        mx_fail(mx);
        break;
    }
}

int dns_mx_answer(struct dns_mx *mx, unsigned number, const struct dns_answer *answer)
{
    if (number >= mx->question_count || mx->questions[number] != MX_ASKED)
        return -EINVAL;
    mx->questions[number] = MX_ANSWERED;
    mx->answered_count++;
    if (number == 0)
        take_mx(mx, answer);
    else
        mx_take_addresses(mx, (number - 1) / MX_FAMILIES, (number - 1) % MX_FAMILIES, answer);
    /* Also at once, when none but ourselves was found. */
    if (mx->stage == MX_STAGE_ADDRESSES && mx->answered_count == mx->question_count)
        mx_conclude(mx);
    return 0;
}

/* Both questions of a host are answered, and there is no address. */
static bool has_failed(const struct dns_mx *mx, size_t host)
{
    const unsigned char *families = &mx->questions[1 + MX_FAMILIES * host];
    const struct mx_lookup *lookup = &mx->lookups[host];

    return lookup->failed && lookup->counts[0] + lookup->counts[1] == 0 &&
           families[0] == MX_ANSWERED && families[1] == MX_ANSWERED;
}

/* A single dead host is no reason: the next may be good, and a question that waits for silence
 * takes most of the time that a hurried owner gives. */
static bool may_hurry(const struct dns_mx *mx)
{
    size_t failed = 0, known = 0;

    if (mx->stage != MX_STAGE_ADDRESSES || mx->failure.size == 0)
        return false;
    for (size_t i = 0; i < mx->host_count; i++) {
        const struct mx_lookup *lookup = &mx->lookups[i];
        failed += has_failed(mx, i);
        known += mx->hosts[i].state == DNS_HOST_ASKED && lookup->counts[0] + lookup->counts[1];
    }
    return failed > 1 || known;
}

/* What was asked is waited for still. */
void dns_mx_hurry(struct dns_mx *mx)
{
    if (!may_hurry(mx))
        return;
    mx->question_count = mx->next_question;
    if (mx->answered_count == mx->question_count)
        mx_conclude(mx);
}

enum dns_verdict dns_mx_verdict(const struct dns_mx *mx)
{
    return mx->verdict;
}

const char *dns_mx_status(const struct dns_mx *mx)
{
    return mx->status;
}

struct span dns_mx_text(const struct dns_mx *mx)
{
    return buffer_span(&mx->text);
}

const struct dns_host *dns_mx_hosts(const struct dns_mx *mx, size_t *out_count)
{
    *out_count = mx->host_count;
    return mx->hosts;
}
