/* Address lists from headers and command lines: reading comes to an end, each step takes something,
 * and what came out is read again as itself; a person's name in front of an address, whatever it
 * is, is a phrase and never another address or line. */
#include "fuzz.h"

#include "mail/address.h"
#include "mail/address_list.h"
#include "mail/display_name.h"
#include <errno.h>

static void check_list(struct span rest)
{
    struct buffer out = BUFFER_INIT, again = BUFFER_INIT;
    struct address address;
    size_t before = rest.size + 1;
    int r;

    while ((r = address_list_next(&rest, &out)) != 0) {
        assert(rest.size < before && (r == 1 || r == -EINVAL));
        before = rest.size;
        if (r < 0 || address_parse(buffer_span(&out), ADDRESS_ALLOW_UTF8, &address) != ADDRESS_OK)
            continue;
        struct span canonical = address_text(&address);
        assert(address_list_next(&canonical, &again) == 1 && canonical.size == 0);
        assert(span_equal(buffer_span(&again), address_text(&address)));
    }
    assert(rest.size == 0);
    buffer_done(&out);
    buffer_done(&again);
}

static void check_name(struct span name)
{
    struct buffer text = BUFFER_INIT, out = BUFFER_INIT;

    assert(display_name_write(name, &text) == 0);
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        assert((c >= ' ' && c < 127) || c == '\r' || c == '\n' || c == '\t');
        assert(c != '\r' || (i + 2 < text.size && text.data[i + 1] == '\n'));
        assert(c != '\n' || (i > 0 && text.data[i - 1] == '\r' && text.data[i + 1] == ' '));
    }
    buffer_append_span(&text, SPAN(" <a@b.test>"));
    struct span rest = buffer_span(&text);
    assert(address_list_next(&rest, &out) == 1 && rest.size == 0);
    assert(span_equal(buffer_span(&out), SPAN("a@b.test")));
    buffer_done(&text);
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_list(span_of(data, size));
    check_name(span_of(data, size));
    return 0;
}
