/*
 *            ┌────────── an attached message (message/rfc822) ─────────┐
 *            ▼                                                         │
 *         HEADER ──empty line──▶ AS_IS │ QUOTED_PRINTABLE │ BASE64 ────┘
 *            ▲                                │
 *            └── boundary of an open level ───┘   last boundary: AS_IS, the epilogue
 *
 * Levels are the multiparts around the place where we are, as a stack of fixed depth: no recursion.
 * The end of a body's line is held back until the next line shows that it wasn't the boundary's.
 */
#include "mail/seven_bit.h"

#include "mail/content.h"
#include "mail/field.h"
#include <errno.h>
#include <stdlib.h>

enum { QP_COLUMNS = 75, BASE64_COLUMNS = 76 };

enum mode {
    MODE_HEADER, /* of the message, a part or an attached message */
    MODE_AS_IS,
    MODE_QUOTED_PRINTABLE,
    MODE_BASE64,
};

/* Whose header it is. */
enum owner { OWNER_MESSAGE, OWNER_PART, OWNER_ATTACHED };

struct level {
    uint8_t size;
    bool digest; /* its parts are messages unless they say something else */
    char boundary[CONTENT_BOUNDARY_MAX];
};

struct seven_bit {
    enum mode mode;
    enum owner owner; /* of the header that is read, or was read last */
    bool held_end;    /* the end of the last line: a boundary's, if one comes */
    bool no_memory;   /* for `encoding`, which is emptied before anybody looks */
    struct buffer line;
    struct buffer field;
    struct buffer encoding; /* the header's Content-Transfer-Encoding field, as it was */
    struct content content; /* what this header says */
    struct level levels[SEVEN_BIT_DEPTH_MAX];
    unsigned depth;
    uint8_t rest[3]; /* of base64 */
    unsigned rest_size, column;
    const char *problem;
};

struct seven_bit *seven_bit_new(void)
{
    struct seven_bit *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->line.limit = SEVEN_BIT_LINE_MAX;
    s->field.limit = s->encoding.limit = SEVEN_BIT_FIELD_MAX;
    return s;
}

void seven_bit_free(struct seven_bit *s)
{
    if (!s)
        return;
    buffer_done(&s->line);
    buffer_done(&s->field);
    buffer_done(&s->encoding);
    free(s);
}

const char *seven_bit_problem(const struct seven_bit *s)
{
    return s->problem ? s->problem : "";
}

static void fail(struct seven_bit *s, const char *problem)
{
    if (!s->problem)
        s->problem = problem;
}

/* ---- the two encodings (RFC 2045 6.7 and 6.8) ---- */

/* One line of a body. Its end stays an end: text keeps its lines (RFC 2045 6.7 (4)). Lines of at
 * most 76 characters with the "=" (RFC 2045 section 6.7 (5)); a blank at the end of a line is
 * encoded, since stations may drop it (6.7 (3)). */
static void quoted_line(struct span line, struct buffer *out)
{
    static const char hex[] = "0123456789ABCDEF";
    unsigned column = 0;

    for (size_t i = 0; i < line.size; i++) {
        unsigned char c = (unsigned char)line.data[i];
        bool blank = c == ' ' || c == '\t', last = i + 1 == line.size;
        bool plain = blank ? !last : c > ' ' && c < 127 && c != '=';
        unsigned width = plain ? 1 : 3;
        if (column + width > QP_COLUMNS) {
            buffer_append_span(out, SPAN("=\r\n"));
            column = 0;
        }
        column += width;
        if (plain)
            buffer_append_byte(out, (char)c);
        else
            buffer_append(out, (char[]){'=', hex[c >> 4], hex[c & 15]}, 3);
    }
}

/* Three bytes, or fewer at the end, become four characters. */
static void base64_group(struct seven_bit *s, struct buffer *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *b = s->rest;
    char group[4] = {alphabet[b[0] >> 2], alphabet[(b[0] & 3) << 4 | b[1] >> 4],
                     s->rest_size > 1 ? alphabet[(b[1] & 15) << 2 | b[2] >> 6] : '=',
                     s->rest_size > 2 ? alphabet[b[2] & 63] : '='};

    if (s->column == BASE64_COLUMNS) {
        buffer_append_span(out, SPAN("\r\n"));
        s->column = 0;
    }
    buffer_append(out, group, sizeof(group));
    s->column += sizeof(group);
    s->rest_size = 0;
    memset(s->rest, 0, sizeof(s->rest));
}

static void base64_bytes(struct seven_bit *s, struct span in, struct buffer *out)
{
    for (size_t i = 0; i < in.size; i++) {
        s->rest[s->rest_size++] = (uint8_t)in.data[i];
        if (s->rest_size == sizeof(s->rest))
            base64_group(s, out);
    }
}

static void base64_end(struct seven_bit *s, struct buffer *out)
{
    if (s->rest_size)
        base64_group(s, out);
    s->column = 0;
}

/* ---- bodies ---- */

/* The end of the line before goes out only now: had a boundary come, it would have been the
 * boundary's. */
static void body_line(struct seven_bit *s, struct span line, struct buffer *out)
{
    if (s->held_end && s->mode == MODE_BASE64)
        base64_bytes(s, SPAN("\r\n"), out);
    else if (s->held_end)
        buffer_append_span(out, SPAN("\r\n"));
    if (s->mode == MODE_BASE64) {
        base64_bytes(s, line, out);
    } else if (s->mode == MODE_QUOTED_PRINTABLE) {
        quoted_line(line, out);
    } else {
        if (!span_is_ascii(line))
            fail(s, "a part of the message that says it is 7-bit isn't, and can't be converted");
        buffer_append_span(out, line);
    }
}

/* A boundary ended the body: the line end in front of it is the boundary's (RFC 2046 5.1.1). */
static void end_body(struct seven_bit *s, struct buffer *out)
{
    if (s->mode == MODE_BASE64)
        base64_end(s, out);
    if (s->held_end)
        buffer_append_span(out, SPAN("\r\n"));
    s->held_end = false;
}

/* ---- headers ---- */

static void begin_header(struct seven_bit *s, enum owner owner)
{
    s->mode = MODE_HEADER;
    s->owner = owner;
    s->content = (struct content){0};
    buffer_clear(&s->encoding);
}

/* Content-Transfer-Encoding waits until the type is known. */
static void end_field(struct seven_bit *s, struct buffer *out)
{
    struct span field = buffer_span(&s->field);

    if (field.size == 0)
        return;
    if (!span_is_ascii(field))
        fail(s, "the message's header isn't ASCII, and the next station takes nothing else");
    content_take_field(&s->content, field);
    if (!content_is_encoding(field))
        buffer_append_span(out, field);
    else if (s->encoding.size == 0 && buffer_append_span(&s->encoding, field) < 0)
        s->no_memory = true;
    buffer_clear(&s->field);
}

static void open_level(struct seven_bit *s)
{
    if (s->depth == SEVEN_BIT_DEPTH_MAX) {
        fail(s, "the parts of the message are nested too deep to be converted");
        return;
    }
    struct level *level = &s->levels[s->depth++];
    level->size = s->content.boundary_size;
    level->digest = s->content.kind == CONTENT_DIGEST;
    memcpy(level->boundary, s->content.boundary, level->size);
}

/* What a leaf is to become; what says that it is 7-bit is believed, and watched. A leaf of type
 * message may not be encoded (RFC 2046 section 5.2.1, RFC 2045 section 6.4), nor may a multipart
 * that can't be walked through, since its boundary isn't told: bytes beyond ASCII in one end the
 * conversion. */
static enum mode leaf_mode(const struct seven_bit *s)
{
    const struct content *c = &s->content;
    bool raw = c->encoding == CONTENT_8BIT || c->encoding == CONTENT_BINARY ||
               (c->encoding == CONTENT_NOT_TOLD && s->owner != OWNER_PART);

    if (!raw || (c->kind != CONTENT_TEXT && c->kind != CONTENT_OTHER))
        return MODE_AS_IS;
    return c->kind == CONTENT_TEXT ? MODE_QUOTED_PRINTABLE : MODE_BASE64;
}

static void write_encoding(struct seven_bit *s, enum mode mode, struct buffer *out)
{
    bool raw = s->content.encoding == CONTENT_8BIT || s->content.encoding == CONTENT_BINARY;

    if (mode == MODE_QUOTED_PRINTABLE)
        buffer_append_span(out, SPAN("Content-Transfer-Encoding: quoted-printable\r\n"));
    else if (mode == MODE_BASE64)
        buffer_append_span(out, SPAN("Content-Transfer-Encoding: base64\r\n"));
    else if (raw)
        buffer_append_span(out, SPAN("Content-Transfer-Encoding: 7bit\r\n"));
    else
        buffer_append_span(out, buffer_span(&s->encoding));
}

/* RFC 1428 section 3: text of which nobody said in what charset it is, is of an unknown one.
 * Guessing would be worse. */
static void write_mime(struct seven_bit *s, enum mode mode, struct buffer *out)
{
    if (s->owner == OWNER_PART || mode == MODE_AS_IS)
        return;
    if (!s->content.mime_version)
        buffer_append_span(out, SPAN("MIME-Version: 1.0\r\n"));
    if (!s->content.typed)
        buffer_append_span(out, SPAN("Content-Type: text/plain; charset=unknown-8bit\r\n"));
}

/* Parts of a digest are messages unless they say otherwise (RFC 2046 section 5.1.5). */
static void end_header(struct seven_bit *s, struct buffer *out)
{
    struct content *c = &s->content;
    enum mode mode = MODE_AS_IS;
    bool digest = s->depth && s->levels[s->depth - 1].digest;

    end_field(s, out);
    if (!c->typed && digest && s->owner == OWNER_PART)
        c->kind = CONTENT_MESSAGE;
    bool multipart = content_is_multipart(c) && !content_is_encoded(c);
    bool message = c->kind == CONTENT_MESSAGE && !content_is_encoded(c);
    if (!multipart && !message)
        mode = leaf_mode(s);
    write_mime(s, mode, out);
    write_encoding(s, mode, out);
    buffer_append_span(out, SPAN("\r\n"));
    if (multipart)
        open_level(s);
    if (message)
        begin_header(s, OWNER_ATTACHED);
    else
        s->mode = mode;
}

static bool is_field_start(struct span line)
{
    struct field field;
    return field_next(&line, &field);
}

static void add_to_field(struct seven_bit *s, struct span line)
{
    buffer_append_span(&s->field, line);
    if (buffer_append_span(&s->field, SPAN("\r\n")) == -EMSGSIZE)
        fail(s, "a header field of the message is too long to be converted");
}

static void header_line(struct seven_bit *s, struct span line, struct buffer *out)
{
    bool folded = line.size && (*line.data == ' ' || *line.data == '\t');

    if (folded && s->field.size) {
        add_to_field(s, line);
        return;
    }
    end_field(s, out);
    if (is_field_start(line)) {
        add_to_field(s, line);
        return;
    }
    end_header(s, out);
    if (line.size == 0)
        return;
    if (s->mode == MODE_HEADER) /* an attached message without a header */
        end_header(s, out);
    body_line(s, line, out); /* there was no empty line */
    s->held_end = true;
}

/* ---- lines ---- */

/* The innermost level of which `line` is a boundary, + 1; 0: none. From the inside out, for an
 * outer boundary ends all inner parts, also those that were never closed (RFC 2046 5.1.2). */
static unsigned find_boundary(const struct seven_bit *s, struct span line, bool *out_last)
{
    if (line.size < 3 || line.data[0] != '-' || line.data[1] != '-')
        return 0;
    struct span rest = span_from(line, 2);
    for (unsigned i = s->depth; i > 0; i--) {
        const struct level *level = &s->levels[i - 1];
        struct span boundary = span_of(level->boundary, level->size);
        if (!span_equal(span_first(rest, boundary.size), boundary))
            continue;
        struct span end = span_from(rest, boundary.size);
        *out_last = end.size >= 2 && end.data[0] == '-' && end.data[1] == '-';
        if (*out_last || span_trim(end).size == 0)
            return i;
    }
    return 0;
}

static void at_boundary(struct seven_bit *s, unsigned level, bool last, struct span line,
                        struct buffer *out)
{
    if (s->mode == MODE_HEADER) /* a part that ends within its header */
        end_field(s, out);
    end_body(s, out);
    if (!span_is_ascii(line))
        fail(s, "a boundary of the message isn't ASCII");
    buffer_append_span(out, line);
    if (last) {
        s->depth = level - 1;
        s->mode = MODE_AS_IS; /* the epilogue, or what follows inside an outer part */
        s->held_end = true;
    } else {
        s->depth = level;
        buffer_append_span(out, SPAN("\r\n"));
        begin_header(s, OWNER_PART);
    }
}

static void on_line(struct seven_bit *s, struct span line, struct buffer *out)
{
    bool last = false;
    unsigned level = find_boundary(s, line, &last);

    if (level) {
        at_boundary(s, level, last, line, out);
    } else if (s->mode == MODE_HEADER) {
        header_line(s, line, out);
    } else {
        body_line(s, line, out);
        s->held_end = true;
    }
}

static void take_line(struct seven_bit *s, struct buffer *out)
{
    struct span line = buffer_span(&s->line);

    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    on_line(s, line, out);
    buffer_clear(&s->line);
}

static int result(struct seven_bit *s, const struct buffer *out)
{
    if (buffer_error(out) || s->no_memory || s->field.error == -ENOMEM || s->line.error == -ENOMEM)
        return -ENOMEM;
    if (s->line.error)
        fail(s, "a line of the message is too long to be converted");
    return s->problem ? -EINVAL : 0;
}

int seven_bit_feed(struct seven_bit *s, struct span in, struct buffer *out)
{
    int r = result(s, out);

    while (r == 0 && in.size) {
        ptrdiff_t lf = span_find(in, '\n');
        size_t size = lf < 0 ? in.size : (size_t)lf;
        buffer_append(&s->line, in.data, size);
        if (lf >= 0 && !s->line.error)
            take_line(s, out);
        in = span_from(in, size + (lf >= 0));
        r = result(s, out);
    }
    return r;
}

int seven_bit_end(struct seven_bit *s, struct buffer *out)
{
    int r = result(s, out);

    if (r < 0)
        return r;
    bool unended = s->line.size > 0;
    if (unended)
        take_line(s, out);
    while (s->mode == MODE_HEADER)
        end_header(s, out);
    if (s->mode == MODE_BASE64 && s->held_end) { /* no boundary came: it is the body's */
        if (!unended)
            base64_bytes(s, SPAN("\r\n"), out);
        base64_end(s, out);
    }
    if (s->held_end)
        buffer_append_span(out, SPAN("\r\n"));
    s->held_end = false;
    return result(s, out);
}
