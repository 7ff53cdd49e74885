/* Mail comes in: at once when it is small, else as one of several interleaved uploads. */
#include "world.h"

#include "spool/lane.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct world_waiter *world_waiter_new(struct world *w, uint64_t first, uint64_t count, bool accept)
{
    struct world_waiter *waiter = malloc(sizeof *waiter);
    assert(waiter);
    *waiter = (struct world_waiter){w, first, count, accept};
    return waiter;
}

void world_on_done(void *arg, int error)
{
    struct world_waiter *waiter = arg;
    struct model *model = &waiter->world->model;
    model_complete(model, waiter->first, waiter->count, error);
    world_say(waiter->world, "    records %lu+%lu: %s", (unsigned long)waiter->first,
              (unsigned long)waiter->count, error ? strerror(-error) : "sealed");
    if (waiter->accept && error == 0 &&
        !model->messages[model->records[waiter->first].message].listed)
        model_fail(model, "acknowledged, but not listed");
    free(waiter);
}

void world_check_refusal(struct world *w, const char *what, int error)
{
    bool disk = error == -ENOSPC || error == -EIO;
    w->statistics.refused++;
    world_say(w, "    refused: %s", strerror(-error));
    if (store_sim_stopped(w->sim) || error == -EAGAIN || (disk && w->faulty) ||
        (error == -ENOSPC && w->tight))
        return;
    if (spool_pressure(w->spool, NULL) == SPOOL_PRESSURE_NONE)
        model_fail(&w->model, "%s was refused: %s", what, strerror(-error));
}

int world_give(struct world *w, struct model_message *message, struct model_content *content,
               struct spool_upload *upload, bool may_fail)
{
    struct spool_accept accept = {.envelope = &content->envelope,
                                  .header = content->header,
                                  .body = upload ? span_of(NULL, 0) : content->body,
                                  .upload = upload,
                                  .expansions = content->expansions,
                                  .expansion_count = message->expansions,
                                  .first_attempt_us = message->accepted_us};
    uint64_t sequence = w->model.record_count ? w->model.record_count : 1;
    struct world_waiter *waiter = world_waiter_new(w, sequence, 1 + message->expansions, true);
    int r = spool_accept(w->spool, &accept, world_on_done, waiter);

    world_say(w, "accept %u bytes, record %lu", message->body_size, (unsigned long)sequence);
    if (r < 0) {
        free(waiter);
        spool_upload_free(upload);
        bool is_too_large = r == -EMSGSIZE && w->crowds && message->recipient_count > 100;
        if (!may_fail && !is_too_large)
            world_check_refusal(w, "mail", r);
        return r;
    }
    model_give_message(&w->model, message);
    w->statistics.accepted++;
    return 0;
}

static void end_upload(struct world_upload *u)
{
    spool_upload_free(u->upload);
    model_content_done(&u->content);
    *u = (struct world_upload){0};
}

void world_abandon_uploads(struct world *w)
{
    for (size_t i = 0; i < WORLD_UPLOADS; i++)
        end_upload(&w->uploads[i]);
}

/* One that ran while there were faults may tell of them only when it is finished. */
static bool has_task(const struct world *w)
{
    for (size_t i = 0; i < WORLD_TASKS; i++)
        if (w->tasks[i].task)
            return true;
    return false;
}

static void begin_upload(struct world *w, struct model_message *message,
                         struct model_content *content)
{
    struct world_upload *u = &w->uploads[prng_below(&w->prng, WORLD_UPLOADS)];
    if (u->upload) { /* given up in favour of the new one */
        end_upload(u);
    }
    int r = spool_upload_new(w->spool, &u->upload);
    world_say(w, "upload of %u bytes begins: %s", message->body_size, strerror(-r));
    if (r < 0) {
        u->upload = NULL;
        model_content_done(content);
        world_check_refusal(w, "an upload", r);
        return;
    }
    u->message = (uint32_t)(message - w->model.messages);
    u->content = *content;
    u->serial = ++w->uploads_begun;
    u->saw_faults = w->faulty || w->tight || has_task(w);
}

/* In lives with crowds now and then thousands, up to what fits no segment. By a chance of its own,
 * so that other lives stay as they are. 0: as usual. */
static uint32_t draw_crowd(const struct world *w)
{
    struct prng prng = {w->model.message_count};

    if (!w->crowds || !prng_chance(&prng, 500))
        return 0;
    return 100 + (uint32_t)prng_below(&prng, prng_chance(&prng, 7000) ? 1000 : WORLD_CROWD_MAX);
}

void world_accept(struct world *w, uint32_t body_size)
{
    uint32_t crowd = draw_crowd(w);
    struct model_message *message =
        model_new_message(&w->model, &w->prng, w->now_us, crowd ? 1000 : body_size, crowd);
    struct model_content content;

    model_content_make(message, &content);
    if (message->body_size > w->options.inline_bytes || prng_chance(&w->prng, 500)) {
        begin_upload(w, message, &content);
        return;
    }
    world_give(w, message, &content, NULL, false);
    model_content_done(&content);
}

/* Somebody who is told to send more. */
struct credit {
    struct world *world;
    uint64_t serial; /* of the upload */
};

static struct credit *credit_new(struct world *w, const struct world_upload *u)
{
    struct credit *credit = malloc(sizeof *credit);
    assert(credit);
    *credit = (struct credit){w, u->serial};
    w->credits++;
    return credit;
}

static void credit_free(struct credit *credit)
{
    credit->world->credits--;
    free(credit);
}

/* Who is told so may end the upload there and then. */
static void on_credit(void *arg, int error)
{
    struct credit *credit = arg;
    struct world *w = credit->world;
    bool ends = error != -ECANCELED && prng_chance(&w->other, 300);

    for (size_t i = 0; ends && i < WORLD_UPLOADS; i++)
        if (w->uploads[i].upload && w->uploads[i].serial == credit->serial)
            end_upload(&w->uploads[i]);
    credit_free(credit);
}

static int append_piece(struct world *w, struct world_upload *u, struct span piece)
{
    if (!w->aborts)
        return spool_upload_append(u->upload, piece, NULL, NULL);
    struct credit *credit = credit_new(w, u);
    int r = spool_upload_append(u->upload, piece, on_credit, credit);
    if (r < 0)
        credit_free(credit);
    return r;
}

static void send_piece(struct world *w, struct world_upload *u)
{
    struct span rest = span_from(u->content.body, u->sent);
    size_t most = rest.size / 8 > 65536 ? rest.size / 8 : 65536; /* so that huge ones end, too */
    struct span piece = span_first(rest, 1 + prng_below(&w->prng, most));
    int r = append_piece(w, u, piece);

    world_say(w, "upload piece of %zu: %s", piece.size, strerror(-r));
    if (!u->upload)
        return; /* given up within the call */
    if (r == 0)
        u->sent += piece.size;
    else if (r != -EAGAIN) {
        if (!u->saw_faults)
            world_check_refusal(w, "an upload", r);
        end_upload(u);
    }
}

static bool is_being_written(const struct world *w)
{
    for (size_t i = 0; i < WORLD_TASKS; i++)
        if (w->tasks[i].task && w->tasks[i].task->kind == TASK_BULK)
            return true;
    return false;
}

/* Seldom; in some lives more often where it matters: while extents have places, are written, wait
 * for credit, or are all there. */
static unsigned chance_to_end(const struct world *w, const struct world_upload *u)
{
    if (!w->aborts)
        return 100;
    if (is_being_written(w) || u->sent == u->content.body.size)
        return 1200;
    return w->credits ? 500 : 100;
}

/* It may be held for its extents, pending, or in a group. */
static void crash_soon(struct world *w)
{
    if (w->aborts && prng_chance(&w->other, 300))
        store_sim_stop_after(w->sim, 1 + prng_below(&w->other, 8));
}

void world_upload(struct world *w)
{
    struct world_upload *u = &w->uploads[prng_below(&w->prng, WORLD_UPLOADS)];
    if (!u->upload)
        return;
    if (prng_chance(&w->prng, chance_to_end(w, u))) {
        end_upload(u);
        return;
    }
    if (u->sent < u->content.body.size) {
        send_piece(w, u);
        return;
    }
    struct spool_upload *upload = u->upload;
    u->upload = NULL;
    if (world_give(w, &w->model.messages[u->message], &u->content, upload, u->saw_faults) == 0)
        crash_soon(w);
    model_content_done(&u->content);
    *u = (struct world_upload){0};
}
