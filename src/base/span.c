#include "base/span.h"

#include <errno.h>

int span_compare(struct span a, struct span b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.data, b.data, common) : 0;

    return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool span_equal_nocase(struct span a, struct span b)
{
    return a.size == b.size && span_starts_nocase(a, b);
}

bool span_starts_nocase(struct span s, struct span prefix)
{
    if (s.size < prefix.size)
        return false;
    for (size_t i = 0; i < prefix.size; i++)
        if (ascii_lower(s.data[i]) != ascii_lower(prefix.data[i]))
            return false;
    return true;
}

ptrdiff_t span_find(struct span s, char byte)
{
    const char *at = s.size ? memchr(s.data, byte, s.size) : NULL;
    return at ? at - s.data : -1;
}

ptrdiff_t span_find_last(struct span s, char byte)
{
    const char *at = s.size ? memrchr(s.data, byte, s.size) : NULL;
    return at ? at - s.data : -1;
}

bool span_next_line(struct span *rest, struct span *out_line)
{
    if (rest->size == 0)
        return false;
    ptrdiff_t end = span_find(*rest, '\n');
    *out_line = end < 0 ? *rest : span_first(*rest, (size_t)end);
    *rest = span_from(*rest, out_line->size + 1);
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
    while (s.size && is_blank(s.data[0]))
        s = span_from(s, 1);
    while (s.size && is_blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

/* Most texts are: looking at all of it is faster than stopping early. */
bool span_is_ascii(struct span s)
{
    unsigned char all = 0;

    for (size_t i = 0; i < s.size; i++)
        all |= (unsigned char)s.data[i];
    return all < 128;
}

int span_to_u64(struct span s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    if (s.size == 0)
        return -EINVAL;
    for (size_t i = 0; i < s.size; i++) {
        unsigned digit = (unsigned char)s.data[i] - '0';
        if (digit > 9)
            return -EINVAL;
        if (value > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        value = value * 10 + digit;
        if (value > max)
            return -ERANGE;
    }
    *out = value;
    return 0;
}
