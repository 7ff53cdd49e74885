/*
 * Reports about anything that strangers said. Input: kind, language, the number of recipients, then
 * texts (a length byte before each), the rest is the original's header. Whatever it is: the report
 * is whole lines within its size, 7-bit unless it says otherwise, its header has our fields and no
 * other, and none of the texts opens a field or a part of its own.
 */
#include "fuzz.h"

#include "base/arena.h"
#include "mail/envelope.h"
#include "mail/field.h"
#include "mail/report.h"
#include <errno.h>

static const char boundary[] = "--=_";

static uint8_t take(struct span *in)
{
    uint8_t byte = in->size ? (uint8_t)in->data[0] : 0;
    *in = span_from(*in, 1);
    return byte;
}

/* Long texts from few bytes: over 200 the text is repeated. */
FUZZ_UNSEEN static struct span take_text(struct span *in, struct arena *arena)
{
    uint8_t size = take(in);
    struct span text = span_first(*in, size > 200 ? 8 : size);
    size_t times = size > 200 && text.size ? (size - 200u) * 10 : 1;
    char *copy = arena_alloc(arena, text.size * times + 1);

    assert(copy);
    *in = span_from(*in, text.size);
    for (size_t i = 0; i < times && text.size; i++)
        memcpy(copy + i * text.size, text.data, text.size);
    return span_of(copy, text.size * times);
}

/* smtpd lets nothing but CRLF through. */
FUZZ_UNSEEN static struct span header_of(struct span in, struct buffer *out)
{
    for (size_t i = 0; i < in.size; i++) {
        if (in.data[i] == '\n')
            buffer_append_span(out, SPAN("\r\n"));
        else if (in.data[i] != '\r' && in.data[i] != '\0')
            buffer_append_byte(out, in.data[i]);
    }
    return buffer_span(out);
}

/* Canonical addresses hold no controls. */
FUZZ_UNSEEN static struct span address_of(struct span text)
{
    char *data = (char *)text.data;

    text = span_first(text, ENVELOPE_ADDRESS_MAX);
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)data[i] < ' ' || data[i] == 127)
            data[i] = 'c';
    return text;
}

static void choose_recipient(struct report_recipient *r, struct span *in, struct arena *arena)
{
    *r = (struct report_recipient){0};
    r->address = address_of(take_text(in, arena));
    r->original = address_of(take_text(in, arena));
    r->status = span_first(take_text(in, arena), 16);
    r->host = span_first(take_text(in, arena), ENVELOPE_TEXT_MAX);
    r->reply = span_first(take_text(in, arena), 4096);
    r->why = span_first(take_text(in, arena), 512);
    r->last_attempt_us = take(in) * INT64_C(1234567891234);
    r->end = (uint8_t)((uint64_t)r->last_attempt_us % REPORT_END_COUNT);
    r->orcpt = span_first(r->why, ENVELOPE_ORCPT_MAX); /* any text: what is none is left out */
    r->instead = r->original;
}

FUZZ_UNSEEN static size_t count_lines(struct span text, const char *start)
{
    size_t count = 0;

    while (text.size) {
        ptrdiff_t lf = span_find(text, '\n');
        count += text.size >= strlen(start) && memcmp(text.data, start, strlen(start)) == 0;
        text = span_from(text, lf < 0 ? text.size : (size_t)lf + 1);
    }
    return count;
}

FUZZ_UNSEEN static void check_bytes(struct span out, bool eight_bit)
{
    for (size_t i = 0; i < out.size; i++) {
        assert(out.data[i] != '\n' || (i > 0 && out.data[i - 1] == '\r'));
        assert(out.data[i] != '\r' || (i + 1 < out.size && out.data[i + 1] == '\n'));
        assert(out.data[i] != '\0' && (eight_bit || (unsigned char)out.data[i] < 128));
    }
}

static void check_own_header(struct span rest)
{
    static const char *const names[] = {"Date",         "From",        "To",
                                        "Subject",      "Message-ID",  "Auto-Submitted",
                                        "MIME-Version", "Content-Type"};
    struct field f;
    size_t count = 0;

    while (field_next(&rest, &f))
        assert(count < ARRAY_SIZE(names) && field_is(&f, names[count++]));
    assert(count == ARRAY_SIZE(names) && span_starts_nocase(rest, SPAN("\r\n--=_")));
}

/* Of the delivery status only: the part after the second boundary. */
static struct span status_part(struct span out)
{
    struct span rest = out;

    for (int i = 0; i < 2; i++) {
        const char *at = memmem(rest.data, rest.size, "\r\n--=_", 6);
        assert(at);
        rest = span_from(rest, (size_t)(at - rest.data) + 6);
    }
    const char *end = memmem(rest.data, rest.size, "\r\n--=_", 6);
    assert(end);
    return span_first(rest, (size_t)(end - rest.data) + 2);
}

static void check_status(struct span out, size_t recipients)
{
    struct span part = status_part(out);
    struct field f;
    size_t groups = 0;

    part = span_from(part, (size_t)span_find(part, '\n') + 1); /* the boundary's line */
    while (part.size) {
        while (field_next(&part, &f))
            assert(f.whole.size <= 1000);
        assert(part.size == 0 || span_starts_nocase(part, SPAN("\r\n")));
        part = span_from(part, 2);
        groups++;
    }
    assert(groups == recipients + 2); /* the part's own header, the message's, each recipient's */
    assert(count_lines(status_part(out), "Action: ") == recipients);
    assert(count_lines(status_part(out), "Status: ") == recipients);
}

static void check(const struct report *r, struct span out, const struct report_made *made)
{
    assert(out.size <= REPORT_BYTES_MAX);
    check_bytes(out, made->eight_bit);
    check_own_header(out);
    if (count_lines(r->header, boundary) == 0) { /* our id in it can't be known to strangers */
        assert(count_lines(out, boundary) == 4);
        check_status(out, r->recipient_count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct report_recipient recipients[REPORT_RECIPIENTS_MAX];
    struct report r = {.recipients = recipients, .hostname = SPAN("mx.test"), .now_us = 1};
    struct buffer header = BUFFER_INIT, out = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct report_made made;

    r.kind = take(&in) % (REPORT_KIND_COUNT + 1);
    r.language = take(&in) % REPORT_LANGUAGE_COUNT;
    uint8_t count = take(&in);
    r.recipient_count = count > 250 ? REPORT_RECIPIENTS_MAX : 1 + count % REPORT_RECIPIENTS_SURE;
    r.sender = address_of(take_text(&in, &arena));
    r.until_us = take(&in);
    r.whole = r.until_us & 1;
    r.envelope_id = span_first(r.sender, ENVELOPE_ENVID_MAX);
    for (size_t i = 0; i < r.recipient_count; i++)
        choose_recipient(&recipients[i], &in, &arena);
    r.header = header_of(in, &header);
    int error = report_write(&r, &out, &made);
    if (error == 0)
        check(&r, buffer_span(&out), &made);
    assert(error != -EMSGSIZE || r.recipient_count > REPORT_RECIPIENTS_SURE);
    buffer_done(&out);
    buffer_done(&header);
    arena_done(&arena);
    return 0;
}
