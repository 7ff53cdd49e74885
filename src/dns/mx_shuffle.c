/* The only chance in the MX machine: what is equal is tried in another order each time. */
#include "dns/mx_impl.h"

/* splitmix64: enough to spread load, and the same again for the same seed. */
static size_t draw(struct dns_mx *mx, size_t bound)
{
    uint64_t z = mx->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (size_t)((z ^ (z >> 31)) % bound);
}

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
        swap(bytes + (i - 1) * item_size, bytes + draw(mx, i) * item_size, item_size);
}
