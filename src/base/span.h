/*
 * A span: borrowed bytes with a length. Text from the network is a span, never a C string: it may
 * hold NUL. A span lives as long as the object that lent it; whoever keeps it copies it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const char *data;
    size_t size;
};

/* Of a string literal, without its NUL. Constant, so it may initialize a static. */
#define SPAN(literal) ((struct span){"" literal, sizeof(literal) - 1})

/* For printf's "%.*s". Not for what may be over 2 GiB, and a NUL in the text ends it. */
#define SPAN_ARG(s) (int)(s).size, (s).data
#define SPAN_FMT "%.*s"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline struct span span_of(const void *data, size_t size)
{
    return (struct span){data, size};
}

/* NULL gives the empty span. The text must outlive it. */
static inline struct span span_from_cstr(const char *text)
{
    return (struct span){text, text ? strlen(text) : 0};
}

/* The bytes from `from` on; empty when `from` is past the end. */
static inline struct span span_from(struct span s, size_t from)
{
    if (from > s.size)
        from = s.size;
    return (struct span){s.data ? s.data + from : NULL, s.size - from};
}

/* The first `size` bytes, or all when there are fewer. */
static inline struct span span_first(struct span s, size_t size)
{
    return (struct span){s.data, size < s.size ? size : s.size};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* By bytes, the shorter first where one begins with the other: below, equal to or above 0. */
int span_compare(struct span a, struct span b);

/* ASCII case only: the locale never enters a protocol. */
bool span_equal_nocase(struct span a, struct span b);
bool span_starts_nocase(struct span s, struct span prefix);

/* Index of the first (last) `byte`, or -1. */
ptrdiff_t span_find(struct span s, char byte);
ptrdiff_t span_find_last(struct span s, char byte);

/* Takes the next line off *rest, without its LF; false at the end. A last one without LF counts. */
bool span_next_line(struct span *rest, struct span *out_line);

/* All bytes are below 128. */
bool span_is_ascii(struct span s);

/* Without blanks and tabs at both ends. */
struct span span_trim(struct span s);

/* Decimal digits only, no sign and no blanks, at most `max`. Returns 0; -EINVAL when it is no
 * number, -ERANGE when it is larger; then *out is untouched. */
int span_to_u64(struct span s, uint64_t max, uint64_t *out);

/* ASCII lower case of one byte. */
static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
