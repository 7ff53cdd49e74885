/* The only chance in the MX machine: what is equal is tried in another order each time. */
#include "dns/mx_impl.h"

#include "base/chance.h"

static void swap(unsigned char *a, unsigned char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = a[i];
        a[i] = b[i];
        b[i] = byte;
    }
}

void mx_shuffle(struct dns_mx *mx, void *items, size_t count, size_t item_size)
{
    unsigned char *bytes = items;

    for (size_t i = count; i > 1; i--)
        swap(bytes + (i - 1) * item_size, bytes + chance_next(&mx->random) % i * item_size,
             item_size);
}
