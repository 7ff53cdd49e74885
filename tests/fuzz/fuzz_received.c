/* Our Received: field around anything that a client says: one field, of whole short lines, without
 * controls. Input: flags, the HELO text with a length byte before it, the recipient. */
#include "fuzz.h"

#include "mail/address.h"
#include "mail/field.h"
#include "mail/received.h"

static void check(struct span out)
{
    struct field f;
    size_t column = 0;

    for (size_t i = 0; i < out.size; i++) {
        unsigned char c = (unsigned char)out.data[i];
        assert(c >= ' ' || c == '\t' || (c == '\r' && out.data[i + 1] == '\n') ||
               (c == '\n' && i > 0 && out.data[i - 1] == '\r'));
        column = c == '\n' ? 0 : column + 1;
        assert(column <= 998 && c != 127);
    }
    assert(field_next(&out, &f) && field_is(&f, "Received") && out.size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct envelope_recipient recipient = {0};
    struct envelope e = {.recipients = &recipient, .recipient_count = 1};
    struct buffer out = BUFFER_INIT;
    struct address address;

    if (size < 2)
        return 0;
    struct span rest = span_of(data + 2, size - 2);
    e.client.helo = span_first(rest, data[1]);
    e.client.uid = data[0] & 1 ? UINT32_MAX : data[0];
    e.client.tls = data[0] & 2 ? SPAN("TLSv1.3") : SPAN("");
    e.client.protocol = SPAN("ESMTP");
    memset(e.client.ip, data[0], sizeof(e.client.ip));
    rest = span_from(rest, data[1]);
    if (address_parse(rest, ADDRESS_ALLOW_UTF8, &address) == ADDRESS_OK)
        recipient.address = address_text(&address);
    else
        e.recipient_count = 0;
    assert(received_write(&e, SPAN("mx.test"), &out) == 0);
    check(buffer_span(&out));
    buffer_done(&out);
    return 0;
}
