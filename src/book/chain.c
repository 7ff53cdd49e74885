/*
 * The bytes that are hashed: the table of plain fields is the format, so its order may never
 * change.
 */
#include "book/chain.h"

#include "base/buffer.h"
#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum { SHA256_BLOCK = 64 };

struct chain {
    EVP_MD *sha256;
    EVP_MD_CTX *context;
    struct buffer plain;
    struct buffer hashes;
};

static const char *const personal_names[CHAIN_PERSONAL_COUNT] = {
    [CHAIN_SENDER] = "sender",       [CHAIN_RECIPIENT] = "recipient",
    [CHAIN_ORIGINAL] = "original",   [CHAIN_MESSAGE_ID] = "message_id",
    [CHAIN_CLIENT_IP] = "client_ip", [CHAIN_HELO] = "helo",
    [CHAIN_AUTH] = "auth",           [CHAIN_IP] = "ip",
    [CHAIN_REPLY] = "reply",
};

enum { PLAIN_TEXT_MAX = 1 << 20 };

CODEC_DEFINE(static, plain_codec, struct chain_record,
             CODEC_UINT(struct chain_record, kind, UINT8_MAX),
             CODEC_FIXED(struct chain_record, message),
             CODEC_UINT(struct chain_record, recipient_index, UINT32_MAX),
             CODEC_UINT(struct chain_record, parent, UINT32_MAX),
             CODEC_INT(struct chain_record, time_us),
             CODEC_INT(struct chain_record, next_attempt_us),
             CODEC_INT(struct chain_record, until_us),
             CODEC_UINT(struct chain_record, count, UINT32_MAX),
             CODEC_UINT(struct chain_record, actor_uid, UINT32_MAX),
             CODEC_SPAN(struct chain_record, status, PLAIN_TEXT_MAX),
             CODEC_SPAN(struct chain_record, host, PLAIN_TEXT_MAX),
             CODEC_SPAN(struct chain_record, remote_id, PLAIN_TEXT_MAX),
             CODEC_SPAN(struct chain_record, tls, PLAIN_TEXT_MAX),
             CODEC_SPAN(struct chain_record, phase, PLAIN_TEXT_MAX),
             CODEC_SPAN(struct chain_record, service, PLAIN_TEXT_MAX),
             CODEC_SPAN(struct chain_record, protocol, PLAIN_TEXT_MAX),
             CODEC_FIXED(struct chain_record, session), CODEC_FIXED(struct chain_record, reference),
             CODEC_UINT(struct chain_record, port, UINT16_MAX),
             CODEC_UINT(struct chain_record, size_bytes, UINT64_MAX),
             CODEC_FIXED(struct chain_record, digest));

int chain_new(struct chain **out)
{
    struct chain *chain = calloc(1, sizeof(*chain));
    if (!chain)
        return -ENOMEM;
    chain->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    chain->context = EVP_MD_CTX_new();
    if (!chain->sha256 || !chain->context) {
        chain_free(chain);
        return -ENOMEM;
    }
    *out = chain;
    return 0;
}

void chain_free(struct chain *chain)
{
    if (!chain)
        return;
    EVP_MD_CTX_free(chain->context);
    EVP_MD_free(chain->sha256);
    buffer_done(&chain->plain);
    buffer_done(&chain->hashes);
    free(chain);
}

/* SHA-256 over two pieces. */
static int hash(struct chain *chain, struct span a, struct span b, struct chain_hash *out)
{
    EVP_MD_CTX *context = chain->context;

    if (!EVP_DigestInit_ex2(context, chain->sha256, NULL) ||
        !EVP_DigestUpdate(context, a.data, a.size) || !EVP_DigestUpdate(context, b.data, b.size) ||
        !EVP_DigestFinal_ex(context, out->bytes, NULL))
        return -EIO;
    return 0;
}

/* RFC 2104. Written out because OpenSSL's own costs several times the hash for such short texts.
 * The field's name and its NUL go in front of the value: so the same address as sender and as
 * recipient leaves two hashes, and no value can be shifted into a name. */
static int hmac(struct chain *chain, const uint8_t key[ENVELOPE_KEY_BYTES], const char *name,
                struct span value, struct chain_hash *out)
{
    char inner[SHA256_BLOCK + 16], outer[SHA256_BLOCK];
    struct chain_hash first;
    size_t name_size = strlen(name) + 1;

    memset(inner, 0x36, SHA256_BLOCK);
    memset(outer, 0x5c, SHA256_BLOCK);
    for (int i = 0; i < ENVELOPE_KEY_BYTES; i++) {
        inner[i] = (char)(inner[i] ^ key[i]);
        outer[i] = (char)(outer[i] ^ key[i]);
    }
    memcpy(inner + SHA256_BLOCK, name, name_size);
    int r = hash(chain, span_of(inner, SHA256_BLOCK + name_size), value, &first);
    return r < 0 ? r
                 : hash(chain, span_of(outer, SHA256_BLOCK), span_of(first.bytes, CHAIN_HASH_BYTES),
                        out);
}

/* With kind, week and lane, so that no chain can be passed off as another's. */
int chain_first(struct chain *chain, enum week_kind kind, int week, uint32_t lane,
                struct chain_hash *out)
{
    static const struct span title = {"postbuch book 1", sizeof("postbuch book 1")};
    char rest[9];
    uint32_t week_le = htole32((uint32_t)week), lane_le = htole32(lane);

    rest[0] = (char)kind;
    memcpy(rest + 1, &week_le, 4);
    memcpy(rest + 5, &lane_le, 4);
    return hash(chain, title, span_of(rest, sizeof(rest)), out);
}

/* Empty fields are left out, and the number of each one that is there is hashed with it: a value
 * can't move from one field to another. */
int chain_commit(struct chain *chain, const uint8_t key[ENVELOPE_KEY_BYTES],
                 const struct chain_record *record, struct chain_hash *out)
{
    struct chain_hash one;

    buffer_clear(&chain->hashes);
    for (int i = 0; i < CHAIN_PERSONAL_COUNT; i++) {
        if (record->personal[i].size == 0)
            continue;
        int r = hmac(chain, key, personal_names[i], record->personal[i], &one);
        if (r < 0)
            return r;
        buffer_append_byte(&chain->hashes, (char)i);
        buffer_append(&chain->hashes, one.bytes, CHAIN_HASH_BYTES);
    }
    if (buffer_error(&chain->hashes))
        return buffer_error(&chain->hashes);
    return hash(chain, buffer_span(&chain->hashes), (struct span){0}, out);
}

int chain_link(struct chain *chain, const struct chain_hash *before,
               const struct chain_record *record, const struct chain_hash *commitment,
               struct chain_hash *out)
{
    buffer_clear(&chain->plain);
    int r = codec_encode(&plain_codec, record, &chain->plain);
    if (r == 0)
        r = buffer_append(&chain->plain, commitment->bytes, CHAIN_HASH_BYTES);
    if (r < 0)
        return r;
    return hash(chain, span_of(before->bytes, CHAIN_HASH_BYTES), buffer_span(&chain->plain), out);
}

int chain_token(struct chain *chain, uint8_t what, const struct id *message,
                uint32_t recipient_index, struct span facts, struct id *out)
{
    static const struct span title = {"postbuch finding 1", sizeof("postbuch finding 1")};
    uint32_t index_le = htole32(recipient_index);
    struct chain_hash whole;

    buffer_clear(&chain->plain);
    buffer_append_byte(&chain->plain, (char)what);
    buffer_append(&chain->plain, message->bytes, ID_BYTES);
    buffer_append(&chain->plain, &index_le, sizeof(index_le));
    buffer_append_span(&chain->plain, facts);
    int r = buffer_error(&chain->plain);
    if (r == 0)
        r = hash(chain, title, buffer_span(&chain->plain), &whole);
    if (r == 0)
        memcpy(out->bytes, whole.bytes, ID_BYTES);
    return r;
}
