/*
 * Capacity doubles, so that n appends cost O(n) copies. All growth goes through grow(), the one
 * place that looks at limit and sticky error.
 */
#include "base/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(struct buffer *b, int error)
{
    b->error = error;
    return error;
}

/* Makes room for `more` bytes behind those in use. The limit is for what is used, not for the
 * capacity, which may be up to twice as much. */
static int grow(struct buffer *b, size_t more)
{
    size_t needed, capacity;

    if (b->error)
        return b->error;
    if (more > SIZE_MAX / 2 - b->size)
        return fail(b, -EMSGSIZE);
    needed = b->size + more;
    if (b->limit && needed > b->limit)
        return fail(b, -EMSGSIZE);
    if (needed <= b->capacity)
        return 0;
    capacity = b->capacity ? b->capacity : 64;
    while (capacity < needed)
        capacity *= 2;
    char *data = realloc(b->data, capacity);
    if (!data)
        return fail(b, -ENOMEM);
    b->data = data;
    b->capacity = capacity;
    return 0;
}

int buffer_append(struct buffer *b, const void *data, size_t size)
{
    int r = grow(b, size);
    if (r < 0)
        return r;
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
    return 0;
}

int buffer_append_span(struct buffer *b, struct span s)
{
    return buffer_append(b, s.data, s.size);
}

int buffer_append_byte(struct buffer *b, char byte)
{
    return buffer_append(b, &byte, 1);
}

static char hex_digit(unsigned value, char ten)
{
    return (char)(value < 10 ? '0' + (int)value : ten + (int)value - 10);
}

int buffer_append_hex(struct buffer *b, unsigned char byte, char ten)
{
    const char digits[] = {hex_digit(byte >> 4, ten), hex_digit(byte & 15, ten)};
    return buffer_append(b, digits, sizeof(digits));
}

int buffer_vprintf(struct buffer *b, const char *format, va_list args)
{
    /* Twice formatted: once to measure, so that no text is ever cut. */
    va_list measure;
    va_copy(measure, args);
    int length = vsnprintf(NULL, 0, format, measure);
    va_end(measure);
    if (length < 0)
        return fail(b, -EINVAL);
    int r = grow(b, (size_t)length + 1); /* vsnprintf writes a NUL behind the text */
    if (r < 0)
        return r;
    vsnprintf(b->data + b->size, (size_t)length + 1, format, args);
    b->size += (size_t)length;
    return 0;
}

int buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int r = buffer_vprintf(b, format, args);
    va_end(args);
    return r;
}

void *buffer_reserve(struct buffer *b, size_t size)
{
    return grow(b, size) < 0 ? NULL : b->data + b->size;
}

void buffer_consume(struct buffer *b, size_t size)
{
    if (size >= b->size) {
        b->size = 0;
        return;
    }
    memmove(b->data, b->data + size, b->size - size);
    b->size -= size;
}

void buffer_clear(struct buffer *b)
{
    b->size = 0;
    b->error = 0;
}

void buffer_done(struct buffer *b)
{
    size_t limit = b->limit;
    free(b->data);
    *b = BUFFER_LIMITED(limit);
}
