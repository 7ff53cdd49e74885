/* What a simulated message is made of: all of it from its seed. */
#include "model.h"

#include <assert.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

static void *take(struct arena *arena, size_t size)
{
    void *memory = arena_alloc(arena, size ? size : 1);
    assert(memory);
    return memory;
}

static struct span text(struct arena *arena, const char *format, unsigned long number,
                        unsigned long other)
{
    char made[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(made, sizeof made, format, number, other);
#pragma GCC diagnostic pop
    return arena_copy(arena, span_from_cstr(made));
}

static struct envelope_recipient make_recipient(struct arena *arena, struct prng *prng,
                                                unsigned long number)
{
    struct envelope_recipient recipient = {
        .address = text(arena, "user%lu@d%lu.example", number, prng_below(prng, 20)),
    };
    recipient.original = recipient.address;
    prng_fill(prng, recipient.key, sizeof recipient.key);
    return recipient;
}

static struct span filled(struct arena *arena, size_t size)
{
    char *data = take(arena, size);
    memset(data, 'x', size);
    return span_of(data, size);
}

/* The local part is as it was, the domain as long as it may be. */
static struct span stretched(struct arena *arena, struct span address)
{
    struct span longest = filled(arena, ENVELOPE_ADDRESS_MAX);
    memcpy((char *)longest.data, address.data, address.size);
    return longest;
}

static void stretch(struct arena *arena, struct envelope *e)
{
    struct span text = filled(arena, ENVELOPE_TEXT_MAX);

    e->sender = stretched(arena, e->sender);
    e->message_id = e->client.helo = text;
    e->client.auth = span_first(text, ENVELOPE_ADDRESS_MAX);
    e->client.tls = span_first(text, 128);
    e->client.service = e->client.protocol = span_first(text, 32);
    e->envelope_id = span_first(text, ENVELOPE_ENVID_MAX);
    e->wishes = take(arena, e->recipient_count * sizeof *e->wishes);
    e->wish_count = e->recipient_count;
    for (size_t i = 0; i < e->recipient_count; i++) {
        struct envelope_recipient *r = &e->recipients[i];
        r->address = r->original = stretched(arena, r->address);
        e->wishes[i] = (struct envelope_wish){.recipient = (uint32_t)i,
                                              .notify = ENVELOPE_NOTIFY_DELAY,
                                              .original = span_first(text, ENVELOPE_ORCPT_MAX)};
    }
}

static struct span make_bytes(struct arena *arena, struct prng *prng, size_t size)
{
    char *data = take(arena, size);
    prng_fill(prng, data, size);
    return span_of(data, size);
}

static struct envelope_recipient *make_recipients(struct arena *arena, struct prng *prng,
                                                  unsigned long first, size_t count)
{
    struct envelope_recipient *recipients = take(arena, count * sizeof *recipients);
    for (size_t i = 0; i < count; i++)
        recipients[i] = make_recipient(arena, prng, first + i);
    return recipients;
}

void model_content_make(const struct model_message *message, struct model_content *out)
{
    struct prng prng = {message->seed};
    struct envelope *e = &out->envelope;
    unsigned long first = message->envelope_recipients;

    *out = (struct model_content){0};
    *e = (struct envelope){
        .id = message->id,
        .accepted_us = message->accepted_us,
        .sender = text(&out->arena, "from%lu@s%lu.example", message->seed, prng_below(&prng, 9)),
        .recipient_count = message->envelope_recipients,
        .size_bytes = message->body_size,
        .message_id = text(&out->arena, "<%lu.%lu@example>", message->seed, 1),
        .client = {.uid = UINT32_MAX,
                   .port = 4711,
                   .service = SPAN("mx"),
                   .helo = SPAN("client.example"),
                   .protocol = SPAN("ESMTP"),
                   .tls = SPAN(""),
                   .auth = SPAN("")}};
    e->recipients = make_recipients(&out->arena, &prng, 0, e->recipient_count);
    if (message->is_longest)
        stretch(&out->arena, e);
    for (uint32_t i = 0; i < message->expansions; i++) {
        e->recipients[i].flags = ENVELOPE_RECIPIENT_EXPANDS;
        out->expansions[i] = (struct spool_expansion){
            .parent = i,
            .children = make_recipients(&out->arena, &prng, first, message->children[i]),
            .child_count = message->children[i]};
        first += message->children[i];
    }
    out->header = make_bytes(&out->arena, &prng, message->header_size);
    out->body = make_bytes(&out->arena, &prng, message->body_size);
    SHA256((const unsigned char *)out->body.data, out->body.size, e->digest);
}

void model_content_done(struct model_content *content)
{
    arena_done(&content->arena);
}
