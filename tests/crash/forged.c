/*
 * forged: a body that carries a record. The record says that another message was delivered, and it
 * is right in every byte for the place where it will lie. When the header of its own message goes
 * bad, recovery looks for the next record and comes upon it. The segment's salt must turn it away;
 * without salts (the mutant) it must not, or this test shows nothing.
 */
#include "world.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY = 4096, RECORD_AT = 1024 };

static const char marker[] = "here begins the body of the forger";

struct forger {
    bool salted;
    struct id victim, own;
    char body[BODY];
    uint64_t segment, record_offset, body_offset;
};

static int draw_salt(void *arg, void *out, size_t size)
{
    const struct forger *f = arg;
    memset(out, f->salted ? 0x5a : 0, size); /* which salt doesn't matter, only who knows it */
    return 0;
}

static void settle(struct world *w)
{
    world_settle(w);
    if (model_failed(&w->model)) {
        printf("%s\n", w->model.failure);
        exit(1);
    }
}

static void must(bool right, const char *what)
{
    if (right)
        return;
    printf("the test itself is wrong: %s\n", what);
    exit(1);
}

static void accept_own(struct world *w, struct forger *f)
{
    struct envelope_recipient recipient = {.address = SPAN("me@forger.example"),
                                           .original = SPAN("me@forger.example")};
    struct envelope envelope = {.id = f->own,
                                .accepted_us = w->now_us,
                                .recipients = &recipient,
                                .recipient_count = 1,
                                .size_bytes = BODY};
    struct spool_accept accept = {.envelope = &envelope, .body = span_of(f->body, BODY)};

    SHA256((const unsigned char *)f->body, BODY, envelope.digest);
    must(spool_accept(w->spool, &accept, NULL, NULL) == 0, "the forger's mail is refused");
}

/* Where did the body come to lie? */
static void find_body(struct world *w, struct forger *f)
{
    struct spool_message *shown = spool_find(w->spool, &f->own);
    struct store *store = store_sim_open(w->sim);
    struct store_segment *segment;
    char bytes[8192] = {0};

    must(shown != NULL, "the forger's mail isn't there");
    f->segment = spool_sealed_position(w->spool).segment;
    f->record_offset = shown->offset;
    must(store->ops->open_segment(store, STORE_LOG, f->segment, true, &segment) == 0, "no segment");
    must(store->ops->read(segment, f->record_offset, bytes, sizeof bytes, 0) > 0, "no bytes");
    const char *at = memmem(bytes, sizeof bytes, marker, sizeof marker - 1);
    must(at != NULL, "the body isn't inline");
    f->body_offset = f->record_offset + (uint64_t)(at - bytes);
    store->ops->close_segment(segment);
    store->ops->close(store);
}

/* A STATUS for the victim, made for the place where the body will bring it. */
static void forge(struct forger *f, const struct world *w)
{
    struct spool_status status = {
        .recipient = 0, .outcome = SPOOL_OUTCOME_DELIVERED, .attempts = 1, .time_us = w->now_us};
    struct record_status record = {
        .message = f->victim, .home = f->segment, .statuses = &status, .status_count = 1};
    struct record_place place = {.segment = f->segment};
    struct buffer meta = BUFFER_INIT;
    uint64_t offset = (f->body_offset + RECORD_AT + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
    char *at = f->body + (offset - f->body_offset);

    must(codec_encode(&record_status_codec, &record, &meta) == 0, "no encoding");
    memset(at, 0, BODY - (size_t)(at - f->body));
    record_begin(at, SPOOL_RECORD_STATUS, (uint32_t)meta.size, 0);
    memcpy(at + RECORD_HEADER_BYTES, meta.data, meta.size);
    record_finish(at, &place, offset);
    buffer_done(&meta);
}

/* The victim's mail, the forger's, and something behind them. */
static void fill(struct world *w, struct forger *f)
{
    world_init(w, 7, NULL, false);
    w->options.block_bytes = 4096;
    w->options.inline_bytes = 8192;
    w->options.random = draw_salt;
    w->options.random_arg = f;
    world_start(w, 0);
    do
        world_accept(w, 100);
    while (w->model.messages[w->model.message_count - 1].recipient_count > 1);
    f->victim = w->model.messages[w->model.message_count - 1].id;
    f->own = (struct id){{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}};
    settle(w);
    spool_set_hooks(w->spool, &(struct spool_hooks){0}); /* the model doesn't know the next one */
    accept_own(w, f);
    settle(w);
    find_body(w, f);
    world_event(w);
    settle(w);
}

/* Is the victim's mail still waiting after the damage? */
static bool victim_survives(bool salted)
{
    struct forger f = {.salted = salted};
    struct world w;

    memcpy(f.body, marker, sizeof marker - 1);
    fill(&w, &f); /* a rehearsal, to learn the place */
    forge(&f, &w);
    world_done(&w);
    uint64_t rehearsed = f.body_offset;
    fill(&w, &f);
    must(f.body_offset == rehearsed, "the body lies elsewhere");

    must(store_sim_flip(w.sim, STORE_LOG, f.segment, 8 * (f.record_offset + 32)) == 0, "no bit");
    world_crash(&w);
    store_sim_restart(w.sim, STORE_SIM_POWER_CUT);
    must(spool_open(store_sim_open(w.sim), &w.options, w.now_us, &w.spool, NULL) == 0, "no start");
    must(spool_damage_count(w.spool) > 0, "no damage was found");
    bool survives = spool_find(w.spool, &f.victim) != NULL;
    world_done(&w);
    return survives;
}

int main(void)
{
    if (!victim_survives(true)) {
        printf("a forged record was believed\n");
        return 1;
    }
    if (victim_survives(false)) {
        printf("not caught: without salts a forged record must be believed\n");
        return 1;
    }
    printf("a forged record is turned away, but for the salt it would be believed\n");
    return 0;
}
