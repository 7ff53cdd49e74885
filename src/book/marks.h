/*
 * Marks: how far each chain of the book was at a moment, and its last link there; exported with
 * `postbuch audit --checkpoint` and kept where whoever could change the book can't reach. Later the
 * audit finds each link again, or the book's past was changed.
 *
 * As text (docs/formats/book.md), a line each, so that it can be printed, mailed, and signed: the
 * signature covers all bytes before its own line.
 *
 *   postbuch checkpoint 1
 *   time 2026-11-21T18:00:03.120Z
 *   host mail.aaa.example
 *   chain book-2026-W47.sqlite 0 4711 6f0c…        (file, lane, events, last link)
 *   signature ed25519 <hex>
 *
 * 0 or -errno; -EINVAL: it isn't one; -EBADMSG: the signature is another one's.
 */
#pragma once

#include "base/buffer.h"
#include "book/chain.h"

enum { MARKS_MAX = 100000, MARKS_HOST_MAX = 255 };

struct mark {
    enum week_kind kind;
    int week;
    uint32_t lane;
    uint64_t events;
    struct chain_hash head;
};

struct marks {
    int64_t time_us;
    char host[MARKS_HOST_MAX + 1]; /* printable, without blanks */
    struct mark *list;
    size_t count, room;
};

/* 0, -ENOMEM, -E2BIG. */
int marks_add(struct marks *marks, const struct mark *mark);
/* Frees the list; the struct is the caller's. */
void marks_done(struct marks *marks);

/* Appends the text, unsigned. 0 or -ENOMEM. */
int marks_format(const struct marks *marks, struct buffer *out);
/* The signature's line, if there is one, is only looked at by marks_verify(). *out is the caller's,
 * for marks_done(); untouched after an error. */
int marks_parse(struct span text, struct marks *out);
/* Has it such a line? That says nothing of whether it is good. */
bool marks_are_signed(struct span text);

/* Appends the signature's line. `key`: an Ed25519 private key, PEM. -EKEYREJECTED: it isn't one. */
int marks_sign(struct buffer *text, struct span key);
/* 0; -EBADMSG; -ENOKEY: there is no signature; -EKEYREJECTED: `key` is no public Ed25519 key. */
int marks_verify(struct span text, struct span key);
