/*
 * A growable byte buffer with a limit. Errors are sticky: after a failed append the buffer keeps
 * what it had, every later append fails too, and buffer_error() says why. So a run of appends is
 * checked once, at its end.
 */
#pragma once

#include "base/span.h"
#include <stdarg.h>

struct buffer {
    char *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
    size_t limit;    /* never grows past this; 0: no limit */
    int error;       /* 0 or -errno, sticky */
};

#define BUFFER_INIT ((struct buffer){0})
#define BUFFER_LIMITED(bytes) ((struct buffer){.limit = (bytes)})

/* Each returns 0, -ENOMEM, or -EMSGSIZE when the limit would be passed; after an error always that
 * one. `data` must not point into the buffer itself: growing moves it. */
int buffer_append(struct buffer *b, const void *data, size_t size);
int buffer_append_span(struct buffer *b, struct span s);
int buffer_append_byte(struct buffer *b, char byte);
/* The byte as two digits; `ten` is 'a' or 'A'. */
int buffer_append_hex(struct buffer *b, unsigned char byte, char ten);
/* The text without a NUL. It needs room for one all the same, so a text that would fill the limit
 * to its last byte fails. */
int buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buffer_vprintf(struct buffer *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Room for `size` more bytes at the end, to be written by the caller and then counted by adding to
 * b->size; valid until the next call on the buffer. NULL on error. */
void *buffer_reserve(struct buffer *b, size_t size);

/* Drops the first `size` bytes; moves the rest to the front, so it costs as much as what stays. */
void buffer_consume(struct buffer *b, size_t size);

/* Borrowed until the next call on the buffer. */
static inline struct span buffer_span(const struct buffer *b)
{
    return (struct span){b->data, b->size};
}

static inline int buffer_error(const struct buffer *b)
{
    return b->error;
}

/* Empties it, keeps the memory and the limit, forgets the error. */
void buffer_clear(struct buffer *b);
/* Frees the memory. The buffer is as after BUFFER_INIT, with its limit kept. */
void buffer_done(struct buffer *b);
