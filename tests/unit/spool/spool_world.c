#include "spool_world.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECIPIENTS_MAX = 64, CHUNK = 10000 };

static int seeded_random(void *arg, void *out, size_t size)
{
    static uint64_t state = 1;
    (void)arg;
    for (size_t i = 0; i < size; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)out)[i] = (uint8_t)(state >> 56);
    }
    return 0;
}

struct world world_new(void)
{
    struct world w = {.disk = store_sim_new(7), .options = spool_options_default};

    w.now_us = 1000000;
    w.options.segment_bytes = 128 * 1024;
    w.options.bulk_segment_bytes = 256 * 1024;
    w.options.block_bytes = 512;
    w.options.group_bytes = 32 * 1024;
    w.options.extent_bytes = 16 * 1024;
    w.options.inline_bytes = 8 * 1024;
    w.options.recent_bytes = 0; /* what is read is what the disk has */
    w.options.reserve_bytes = 0;
    w.options.reserve_inodes = 0;
    w.options.scrub_interval_us = 0;
    w.options.random = seeded_random;
    return w;
}

void world_done(struct world *w)
{
    world_close(w);
    store_sim_free(w->disk);
}

void world_open(struct world *w)
{
    int r = spool_open(store_sim_open(w->disk), &w->options, w->now_us, &w->spool, NULL);
    assert_int_equal(r, 0);
}

void world_close(struct world *w)
{
    spool_close(w->spool);
    w->spool = NULL;
}

void world_crash(struct world *w, enum store_sim_restart how)
{
    store_sim_stop(w->disk);
    world_close(w);
    store_sim_restart(w->disk, how);
    world_open(w);
}

static void note_moved(void *arg, const struct store_entry *entry)
{
    struct world_moved *moved = arg;

    if (entry->kind != STORE_LOG)
        return;
    assert_true(moved->count < WORLD_MOVED_MAX);
    moved->rows[moved->count].number = entry->number;
    moved->rows[moved->count++].size = entry->size_bytes;
}

void world_move_away(struct world *w, struct world_moved *out)
{
    struct store *store = store_sim_open(w->disk);
    struct store_segment *segment;

    out->count = 0;
    assert_null(w->spool);
    assert_int_equal(store->ops->list(store, note_moved, out), 0);
    for (size_t i = 0; i < out->count; i++) {
        size_t size = out->rows[i].size;
        out->rows[i].bytes = malloc(size);
        assert_non_null(out->rows[i].bytes);
        assert_int_equal(
            store->ops->open_segment(store, STORE_LOG, out->rows[i].number, false, &segment), 0);
        assert_int_equal(store->ops->read(segment, 0, out->rows[i].bytes, size, 0), size);
        assert_int_equal(store->ops->remove(segment), 0);
    }
    store->ops->close(store);
}

size_t world_move_back(struct world *w, struct world_moved *moved, uint64_t above)
{
    size_t count = 0;

    for (size_t i = 0; i < moved->count; i++) {
        uint64_t number = moved->rows[i].number;
        count += number > above && store_sim_put(w->disk, STORE_LOG, number, moved->rows[i].bytes,
                                                 moved->rows[i].size);
        free(moved->rows[i].bytes);
    }
    moved->count = 0;
    return count;
}

int world_commit(struct world *w)
{
    struct spool_group *group = spool_take_group(w->spool, ++w->now_us);
    if (!group)
        return 1;
    spool_write_group(group);
    int error = group->error;
    spool_finish_group(w->spool, group, ++w->now_us);
    return error;
}

void world_run(struct world *w)
{
    struct spool_task *task;
    bool again;

    do {
        again = false;
        while ((task = spool_take_task(w->spool, ++w->now_us)) != NULL) {
            spool_run_task(task);
            spool_finish_task(w->spool, task, ++w->now_us);
            again = true;
        }
        while (world_commit(w) == 0)
            again = true;
    } while (again);
}

void world_done_fn(void *arg, int error)
{
    struct world *w = arg;
    w->done += error == 0;
    w->failed += error != 0;
    w->last_error = error;
}

struct id world_id(unsigned number)
{
    struct id id = {{9, 9}};
    id.bytes[8] = (uint8_t)(number >> 8);
    id.bytes[9] = (uint8_t)number;
    return id;
}

char *world_body(unsigned number, size_t size)
{
    char *body = malloc(size + 1);
    uint64_t state = number * 2654435761u + 1;

    assert_non_null(body);
    for (size_t i = 0; i < size; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        body[i] = (char)(state >> 56);
    }
    return body;
}

/* Addresses live in static memory: good until the next call. */
static struct envelope make_envelope(unsigned number, unsigned recipients, const char *body,
                                     size_t size)
{
    static char addresses[RECIPIENTS_MAX][64];
    static struct envelope_recipient rows[RECIPIENTS_MAX];
    struct envelope e = {.id = world_id(number),
                         .accepted_us = number * 1000,
                         .sender = SPAN("sender@a.example"),
                         .recipients = rows,
                         .recipient_count = recipients,
                         .size_bytes = size,
                         .message_id = SPAN("<m@a.example>"),
                         .client = {.service = SPAN("mx"), .helo = SPAN("client.example")}};

    for (unsigned i = 0; i < recipients; i++) {
        snprintf(addresses[i], sizeof(addresses[i]), "u%u@d%u.example", i, i % 3);
        rows[i] = (struct envelope_recipient){.address = span_from_cstr(addresses[i]),
                                              .original = span_from_cstr(addresses[i])};
    }
    SHA256((const unsigned char *)body, size, e.digest);
    return e;
}

int world_accept(struct world *w, unsigned number, unsigned recipients, size_t size)
{
    char *body = world_body(number, size);
    struct envelope e = make_envelope(number, recipients, body, size);
    struct spool_accept a = {.envelope = &e,
                             .header = SPAN("Received: from client\r\n"),
                             .body = {body, size},
                             .first_attempt_us = 5};
    int r = spool_accept(w->spool, &a, world_done_fn, w);
    free(body);
    return r;
}

int world_accept_large(struct world *w, unsigned number, size_t size)
{
    char *body = world_body(number, size);
    struct envelope e = make_envelope(number, 2, body, size);
    struct spool_accept a = {.envelope = &e, .header = SPAN("Received: from client\r\n")};
    int r = spool_upload_new(w->spool, &a.upload);

    assert_int_equal(r, 0);
    for (size_t at = 0; r == 0 && at < size; at += CHUNK)
        r = spool_upload_append(a.upload, span_of(body + at, size - at < CHUNK ? size - at : CHUNK),
                                NULL, NULL);
    if (r == 0)
        r = spool_accept(w->spool, &a, world_done_fn, w);
    if (r < 0)
        spool_upload_free(a.upload);
    free(body);
    return r;
}

struct spool_message *world_find(struct world *w, unsigned number)
{
    struct id id = world_id(number);
    return spool_find(w->spool, &id);
}

int world_status(struct world *w, unsigned number, uint32_t recipient, enum spool_outcome outcome)
{
    struct spool_message *message = world_find(w, number);
    struct spool_status status = {.recipient = recipient,
                                  .outcome = (uint8_t)outcome,
                                  .attempts = 3,
                                  .time_us = w->now_us,
                                  .next_attempt_us = 777,
                                  .status = SPAN("4.2.0"),
                                  .reply = SPAN("450 later"),
                                  .host = SPAN("mx.d.example")};
    assert_non_null(message);
    return spool_status(w->spool, message, &status, 1, world_done_fn, w);
}

static int compare_bytes(struct spool_reader *reader, unsigned number, size_t size)
{
    static const char header[] = "Received: from client\r\n";
    char *body = world_body(number, size), *got = malloc(size + sizeof(header));
    size_t total = sizeof(header) - 1 + size, at = 0;
    ssize_t n = 0;

    assert_non_null(got);
    while (at < total && (n = spool_reader_read(reader, at, got + at, 7000)) > 0)
        at += (size_t)n;
    if (n >= 0) {
        assert_int_equal(at, total);
        assert_memory_equal(got, header, sizeof(header) - 1);
        assert_memory_equal(got + sizeof(header) - 1, body, size);
        assert_int_equal(spool_reader_read(reader, total, got, 1), 0);
    }
    free(body);
    free(got);
    return n < 0 ? (int)n : 0;
}

int world_check(struct world *w, unsigned number, unsigned recipients, size_t size)
{
    struct spool_message *message = world_find(w, number);
    const struct spool_stored *stored;
    struct spool_reader *reader;

    assert_non_null(message);
    int r = spool_reader_open(w->spool, message, &reader);
    if (r < 0)
        return r;
    r = spool_reader_load(reader, &stored);
    if (r == 0) {
        assert_int_equal(stored->envelope.recipient_count, recipients);
        assert_span(stored->envelope.sender, "sender@a.example");
        r = compare_bytes(reader, number, size);
    }
    spool_reader_close(w->spool, reader);
    return r;
}

int world_check_body(struct world *w, unsigned number, size_t size)
{
    struct spool_message *message = world_find(w, number);
    struct spool_reader *reader;

    assert_non_null(message);
    int r = spool_reader_open(w->spool, message, &reader);
    if (r < 0)
        return r;
    r = compare_bytes(reader, number, size);
    spool_reader_close(w->spool, reader);
    return r;
}

void world_fill(struct world *w, unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        assert_int_equal(world_accept(w, i, 2, 3000), 0);
        world_run(w);
    }
}

void world_check_others(struct world *w, unsigned count, unsigned without)
{
    for (unsigned i = 1; i <= count; i++) {
        if (i != without)
            assert_int_equal(world_check(w, i, 2, 3000), 0);
    }
}

int world_setup(void **state)
{
    static struct world w;
    w = world_new();
    w.options.checkpoint_segments = 1000;
    w.options.keep_segments = 1000;
    world_open(&w);
    *state = &w;
    return 0;
}

int world_teardown(void **state)
{
    world_done(*state);
    return 0;
}
