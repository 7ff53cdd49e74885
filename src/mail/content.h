/*
 * What MIME header fields say about the body that follows (RFC 2045, RFC 2046): as much as is
 * needed to convert or to walk through a message. Pure: fields in, facts out.
 */
#pragma once

#include "base/span.h"

/* Sorted by what may be done with a body: encode it, walk into it, or leave it alone. */
enum content_kind {
    CONTENT_TEXT, /* also when nothing is said */
    CONTENT_OTHER,
    CONTENT_MULTIPART,
    CONTENT_DIGEST,        /* multipart/digest */
    CONTENT_MESSAGE,       /* message/rfc822: has a header of its own */
    CONTENT_OTHER_MESSAGE, /* delivery-status and the like: never encoded (RFC 2046 5.2) */
};

/* In this order: all from QUOTED_PRINTABLE on are encoded, so nothing within can be looked at. */
enum content_encoding {
    CONTENT_NOT_TOLD,
    CONTENT_7BIT,
    CONTENT_8BIT,
    CONTENT_BINARY,
    CONTENT_QUOTED_PRINTABLE,
    CONTENT_BASE64,
    CONTENT_UNKNOWN_ENCODING,
};

enum { CONTENT_BOUNDARY_MAX = 70 }; /* RFC 2046 5.1.1 */

struct content {
    enum content_kind kind;
    enum content_encoding encoding;
    bool mime_version;
    bool typed; /* there is a Content-Type */
    uint8_t boundary_size;
    char boundary[CONTENT_BOUNDARY_MAX];
};

/* `field`: a whole field, folds included. Of several of a kind the first counts. */
void content_take_field(struct content *content, struct span field);
/* Whether it is the field Content-Transfer-Encoding. */
bool content_is_encoding(struct span field);

/* A multipart with a boundary that could be read. */
static inline bool content_is_multipart(const struct content *content)
{
    return (content->kind == CONTENT_MULTIPART || content->kind == CONTENT_DIGEST) &&
           content->boundary_size > 0;
}

static inline bool content_is_encoded(const struct content *content)
{
    return content->encoding >= CONTENT_QUOTED_PRINTABLE;
}
