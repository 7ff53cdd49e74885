/* The header scan: the result must not depend on how the bytes were cut. */
#include "fuzz.h"

#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct header_scan whole, bytes;
    struct span id;

    header_scan_init(&whole);
    header_scan_init(&bytes);
    header_scan_feed(&whole, span_of(data, size));
    for (size_t i = 0; i < size; i++)
        header_scan_feed(&bytes, span_of(data + i, 1));
    assert(whole.state == bytes.state && whole.bytes == bytes.bytes && whole.bytes <= size);
    assert(whole.fields == bytes.fields && whole.received == bytes.received);
    id = header_scan_message_id(&whole);
    assert(span_equal(id, header_scan_message_id(&bytes)));
    assert(id.size == 0 || (id.data[0] == '<' && id.data[id.size - 1] == '>'));
    return 0;
}
