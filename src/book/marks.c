/*
 * Text in and out, line by line, strictly: a file that was cut off or added to must not pass. The
 * signature is plain Ed25519 (RFC 8032) over the bytes before its line.
 */
#include "book/marks.h"

#include "base/clock.h"
#include "base/grow.h"
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIGNATURE_BYTES = 64 };

static const struct span title = {"postbuch checkpoint 1", 21};
static const struct span signature_word = {"signature ed25519 ", 18};

int marks_add(struct marks *marks, const struct mark *mark)
{
    if (marks->count == MARKS_MAX)
        return -E2BIG;
    struct mark *list = grow_by_one(marks->list, marks->count, &marks->room, sizeof(*list), 64);
    if (!list)
        return -ENOMEM;
    marks->list = list;
    marks->list[marks->count++] = *mark;
    return 0;
}

void marks_done(struct marks *marks)
{
    free(marks->list);
    *marks = (struct marks){0};
}

/* ---- text ---- */

static void append_hex(struct buffer *out, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer_append_hex(out, bytes[i], 'a');
}

static int parse_hex(struct span text, uint8_t *out, size_t size)
{
    static const char digits[] = "0123456789abcdef";

    if (text.size != size * 2)
        return -EINVAL;
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = text.data[i] ? strchr(digits, text.data[i]) : NULL;
        if (!digit)
            return -EINVAL;
        out[i / 2] = (uint8_t)((i % 2 ? out[i / 2] << 4 : 0) | (digit - digits));
    }
    return 0;
}

int marks_format(const struct marks *marks, struct buffer *out)
{
    char when[CLOCK_RFC3339_SIZE], name[WEEK_FILE_SIZE];

    clock_format_rfc3339(marks->time_us, when);
    buffer_append_span(out, title);
    buffer_printf(out, "\ntime %s\nhost %s\n", when, marks->host);
    for (size_t i = 0; i < marks->count; i++) {
        const struct mark *m = &marks->list[i];
        week_file(m->kind, m->week, name);
        buffer_printf(out, "chain %s %" PRIu32 " %" PRIu64 " ", name, m->lane, m->events);
        append_hex(out, m->head.bytes, CHAIN_HASH_BYTES);
        buffer_append_byte(out, '\n');
    }
    return buffer_error(out);
}

/* The next part up to `end`, which goes too. False: there is none. */
static bool take(struct span *rest, char end, struct span *out)
{
    ptrdiff_t at = span_find(*rest, end);

    if (at < 0)
        return false;
    *out = span_first(*rest, (size_t)at);
    *rest = span_from(*rest, (size_t)at + 1);
    return true;
}

/* Digits alone and no overflow: strtoull() would take blanks, signs and what is too large. */
static bool take_number(struct span *rest, uint64_t max, uint64_t *out)
{
    struct span word;

    *out = 0;
    if (!take(rest, ' ', &word) || word.size == 0 || word.size > 20)
        return false;
    for (size_t i = 0; i < word.size; i++) {
        unsigned digit = (unsigned char)word.data[i] - (unsigned)'0';
        if (digit > 9 || *out > (max - digit) / 10)
            return false;
        *out = *out * 10 + digit;
    }
    return true;
}

static int parse_chain(struct span rest, struct marks *out)
{
    char name[WEEK_FILE_SIZE] = "";
    struct mark m = {.kind = WEEK_ENTRIES};
    struct span file;
    uint64_t lane;

    if (!take(&rest, ' ', &file) || file.size >= sizeof(name))
        return -EINVAL;
    memcpy(name, file.data, file.size);
    if (week_parse_file(name, &m.kind, &m.week) < 0 || !take_number(&rest, UINT32_MAX, &lane) ||
        !take_number(&rest, UINT64_MAX, &m.events) ||
        parse_hex(rest, m.head.bytes, CHAIN_HASH_BYTES) < 0)
        return -EINVAL;
    m.lane = (uint32_t)lane;
    return marks_add(out, &m);
}

static int parse_host(struct span text, struct marks *out)
{
    if (text.size > MARKS_HOST_MAX)
        return -EINVAL;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return -EINVAL;
    memcpy(out->host, text.data, text.size);
    return 0;
}

static int parse_line(struct span line, struct marks *out)
{
    static const struct span time = {"time ", 5}, host = {"host ", 5}, chain = {"chain ", 6};

    if (span_starts_nocase(line, time))
        return clock_parse(span_from(line, time.size), 0, &out->time_us);
    if (span_starts_nocase(line, host))
        return parse_host(span_from(line, host.size), out);
    if (span_starts_nocase(line, chain))
        return parse_chain(span_from(line, chain.size), out);
    return -EINVAL;
}

/* `out`: the text before the signature's line; `out_line` that one, without its end. The last line
 * or none. What would stand behind it would look signed to a reader and not be. */
static bool find_signature(struct span text, struct span *out, struct span *out_line)
{
    struct span rest = text, line;

    while (take(&rest, '\n', &line)) {
        if (!span_starts_nocase(line, signature_word))
            continue;
        if (rest.size)
            return false; /* unsigned text behind it */
        *out = span_first(text, (size_t)(line.data - text.data));
        *out_line = line;
        return true;
    }
    return false;
}

bool marks_are_signed(struct span text)
{
    struct span before, line;

    return find_signature(text, &before, &line);
}

int marks_parse(struct span text, struct marks *out)
{
    struct marks marks = {.time_us = 0};
    struct span line, signature;
    int r = -EINVAL;

    find_signature(text, &text, &signature);
    if (take(&text, '\n', &line) && span_equal(line, title))
        r = 0;
    while (r == 0 && take(&text, '\n', &line))
        r = parse_line(line, &marks);
    if (r == 0 && text.size)
        r = -EINVAL; /* cut off */
    if (r < 0)
        marks_done(&marks);
    else
        *out = marks;
    return r;
}

/* ---- the signature ---- */

/* PEM without asking anybody for a passphrase. */
static EVP_PKEY *read_key(struct span pem, bool private)
{
    static char no_passphrase[] = "";
    BIO *bio = BIO_new_mem_buf(pem.data, pem.size > 65536 ? 0 : (int)pem.size);
    EVP_PKEY *key = NULL;

    if (bio)
        key = private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, no_passphrase)
                      : PEM_read_bio_PUBKEY(bio, NULL, NULL, no_passphrase);
    BIO_free(bio);
    if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

int marks_sign(struct buffer *text, struct span pem)
{
    EVP_PKEY *key = read_key(pem, true);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t signature[SIGNATURE_BYTES];
    size_t size = sizeof(signature);
    int r = !key ? -EKEYREJECTED : !context ? -ENOMEM : 0;

    if (r == 0 &&
        (EVP_DigestSignInit(context, NULL, NULL, NULL, key) <= 0 ||
         EVP_DigestSign(context, signature, &size, (const uint8_t *)text->data, text->size) <= 0))
        r = -EIO;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    if (r < 0)
        return r;
    buffer_append_span(text, signature_word);
    append_hex(text, signature, size);
    return buffer_append_byte(text, '\n');
}

/* Over the bytes as they are in the file, not over what was read from them: nothing can be signed
 * that is written in two ways. */
int marks_verify(struct span text, struct span pem)
{
    uint8_t signature[SIGNATURE_BYTES];
    struct span before, line;

    if (!find_signature(text, &before, &line))
        return -ENOKEY;
    if (parse_hex(span_from(line, signature_word.size), signature, sizeof(signature)) < 0)
        return -EBADMSG;
    EVP_PKEY *key = read_key(pem, false);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int r = !key ? -EKEYREJECTED : !context ? -ENOMEM : 0;

    if (r == 0 && (EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) <= 0 ||
                   EVP_DigestVerify(context, signature, sizeof(signature),
                                    (const uint8_t *)before.data, before.size) != 1))
        r = -EBADMSG;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return r;
}
