/* Paths: what is accepted must be short enough, divide at its last '@', and be accepted again as
 * itself: the canonical form is a fixed point. The first byte chooses the flags. */
#include "fuzz.h"

#include "mail/address.h"

static void check_canonical(const struct address *a, unsigned flags)
{
    struct span text = address_text(a), local, domain;
    struct address again;

    assert(a->local_size <= ADDRESS_LOCAL_MAX && text.size <= ADDRESS_TEXT_MAX);
    assert(a->text[a->size] == '\0' && strlen(a->text) == a->size);
    address_split(text, &local, &domain);
    if (address_domain(a).size) {
        assert(local.size == a->local_size);
        assert(span_equal(domain, address_domain(a)));
    }
    for (size_t i = 0; i < text.size; i++)
        assert((unsigned char)text.data[i] >= ' ' && text.data[i] != 127);
    for (size_t i = 0; i < address_domain(a).size; i++)
        assert((unsigned char)address_domain(a).data[i] < 127);
    assert(address_parse(text, flags, &again) == ADDRESS_OK);
    assert(span_equal(address_text(&again), text));
    assert(span_equal(address_raw_local(&again), address_raw_local(a)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct address a;
    size_t consumed;

    if (size == 0)
        return 0;
    struct span text = span_of(data + 1, size - 1);
    if (address_parse_path(text, data[0], &a, &consumed) == ADDRESS_OK) {
        assert(consumed >= 2 && consumed <= text.size && text.data[consumed - 1] == '>');
        if (a.size)
            check_canonical(&a, data[0]);
    }
    if (address_parse(text, data[0], &a) == ADDRESS_OK)
        check_canonical(&a, data[0]);
    return 0;
}
