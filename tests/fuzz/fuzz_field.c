/* A header in memory, field by field: the fields lie one behind the other and nothing is left out;
 * the scan of a header that arrives agrees; what MIME fields say keeps within its bounds. */
#include "fuzz.h"

#include "mail/content.h"
#include "mail/field.h"
#include "mail/header.h"

static void check_field(const struct field *f, struct span before, struct span rest)
{
    assert(f->whole.data == before.data && f->whole.size + rest.size == before.size);
    assert(f->name.data == before.data && f->name.size > 0);
    assert(f->value.data > f->name.data && f->value.data[-1] == ':');
    assert(f->value.data + f->value.size == f->whole.data + f->whole.size);
    for (size_t i = 0; i < f->name.size; i++)
        assert(f->name.data[i] > ' ' && f->name.data[i] < 127 && f->name.data[i] != ':');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_of(data, size), before = rest;
    struct content content = {0};
    struct header_scan scan;
    struct field f;
    uint32_t fields = 0, received = 0;

    for (; field_next(&rest, &f); before = rest, fields++) {
        check_field(&f, before, rest);
        content_take_field(&content, f.whole);
        (void)content_is_encoding(f.whole);
        assert(content.boundary_size <= CONTENT_BOUNDARY_MAX);
        received += field_is(&f, "Received");
    }
    header_scan_init(&scan);
    header_scan_feed(&scan, span_first(span_of(data, size), size - rest.size));
    assert(scan.fields == fields && scan.received == received);
    return 0;
}
