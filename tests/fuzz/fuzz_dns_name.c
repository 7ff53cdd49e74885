/* Names from strangers: what is read from the wire comes back from its text as the same bytes in
 * lower case, and text that is accepted is a fixed point once written. */
#include "fuzz.h"

#include "dns/name.h"

static void check_text(struct span text)
{
    uint8_t wire[DNS_WIRE_MAX], again[DNS_WIRE_MAX];
    char written[DNS_TEXT_SIZE];
    size_t size, used, size_again;

    if (dns_name_from_text(text, wire, &size) < 0)
        return;
    assert(size > 0 && size <= DNS_WIRE_MAX);
    assert(dns_name_to_text(span_of(wire, size), written, &used) == 0 && used == size);
    assert(dns_name_from_text(span_from_cstr(written), again, &size_again) == 0);
    assert(span_equal(span_of(wire, size), span_of(again, size_again)));
}

static void check_wire(struct span input)
{
    char text[DNS_TEXT_SIZE];
    uint8_t wire[DNS_WIRE_MAX];
    size_t used, size;

    if (dns_name_to_text(input, text, &used) < 0)
        return;
    assert(used > 0 && used <= input.size && strlen(text) > 0);
    for (const char *c = text; *c; c++)
        assert(*c > ' ' && *c < 127);
    assert(dns_name_from_text(span_from_cstr(text), wire, &size) == 0 && size == used);
    assert(span_equal_nocase(span_of(wire, size), span_first(input, used)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_text(span_of(data, size));
    check_wire(span_of(data, size));
    return 0;
}
