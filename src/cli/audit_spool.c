/*
 * Findings are notes until the end: a server that was started meanwhile writes the same files, and
 * what looked damaged then was only in the middle of being written.
 */
#include "cli/audit_spool.h"

#include "base/arena.h"
#include "base/clock.h"
#include "book/main_file.h"
#include "spool/follow.h"
#include "spool/spool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PLACE_SIZE = 32, PROGRESS_EVERY = 256, READ_BYTES = 256 * 1024 };

/* Kept until it is sure that no server was at work meanwhile. */
struct note {
    struct note *next;
    struct id id;
    char place[PLACE_SIZE];
    bool is_tail;
    struct span text; /* ends with a NUL */
};

struct look {
    const struct cli_audit_spool *audit;
    struct audit_queue *out;
    struct spool_obstacle *obstacle;
    struct spool *spool;
    struct arena arena;
    struct note *notes, **last_note;
    char *buffer;
};

static int add_note(struct look *look, const struct note *what, const char *text)
{
    struct note *n = arena_alloc(&look->arena, sizeof(*n));

    if (!n)
        return -ENOMEM;
    *n = *what;
    n->text = arena_copy(&look->arena, span_of(text, strlen(text) + 1));
    if (!n->text.data)
        return -ENOMEM;
    *look->last_note = n;
    look->last_note = &n->next;
    return 0;
}

static int note_at(struct look *look, struct spool_position at, struct note what, const char *text)
{
    char whole[256];

    snprintf(what.place, sizeof(what.place), "log-%016llx", (unsigned long long)at.segment);
    snprintf(whole, sizeof(whole), "at offset %llu: %s", (unsigned long long)at.offset, text);
    return add_note(look, &what, whole);
}

static void tell_notes(struct look *look)
{
    for (const struct note *n = look->notes; n; n = n->next)
        audit_tell_damage(look->out, n->is_tail ? AUDIT_ALARM : AUDIT_DAMAGE, &n->id, n->place,
                          n->text.data);
}

/* ---- what waits, and its bytes ---- */

static int open_store(const struct look *look, struct store **out)
{
    int fd = open(look->audit->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : store_file_new(fd, out);

    if (r < 0 && fd >= 0)
        close(fd);
    return r;
}

/* Read-only by the store itself: recovery would else cut off a torn tail, which is the server's to
 * do. */
static int open_spool(struct look *look)
{
    struct store *store;
    int r = open_store(look, &store);

    if (r == 0)
        r = store_readonly_new(store, &store);
    return r < 0 ? r : spool_open(store, NULL, clock_wall_us(), &look->spool, look->obstacle);
}

static int add_waiting(struct look *look, const struct spool_message *m)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < m->recipient_count; i++) {
        struct audit_waiting item = {.id = m->id, .index = m->recipients[i].index};
        if (m->recipients[i].state != SPOOL_RECIPIENT_CLOSED)
            r = audit_add_waiting(&look->out->waiting, &item);
    }
    return r;
}

/* In a recipient's `owner`, which is ours to use. */
enum { IS_NOTED = 1 };

/* What this recovery found has its place in the log, and gets its note in note_damage(). */
static void mark_noted(struct look *look)
{
    for (size_t i = 0; i < spool_damage_count(look->spool); i++) {
        struct spool_message *m =
            spool_find(look->spool, &spool_damage_at(look->spool, i)->message);
        if (m)
            m->recipients[0].owner = IS_NOTED;
    }
}

/* One that the checkpoint has as damaged was found by an earlier start: this recovery didn't look
 * at its bytes. In the words that a running server's audit has for it. */
static int note_set_aside(struct look *look, const struct spool_message *m)
{
    const struct note what = {.id = m->id, .place = "spool"};

    if (m->recipients[0].owner == IS_NOTED)
        return 0;
    return add_note(look, &what, "its bytes are damaged on the disk: it was set aside");
}

/* To the end, so that checksums and digest are compared. What is damaged the reader itself notes
 * when it is closed. */
static int read_message(struct look *look, struct spool_message *m)
{
    const struct spool_stored *stored;
    struct spool_reader *reader;
    uint64_t at = 0;
    ssize_t n = 0;

    int r = spool_reader_open(look->spool, m, &reader);
    if (r < 0)
        return r == -EBADMSG ? 0 : r; /* it has no place any more: noted by the recovery */
    r = spool_reader_load(reader, &stored);
    while (r == 0 && (n = spool_reader_read(reader, at, look->buffer, READ_BYTES)) > 0)
        at += (uint64_t)n;
    spool_reader_close(look->spool, reader);
    r = r < 0 ? r : (int)n;
    return r == -EBADMSG ? 0 : r;
}

static int read_messages(struct look *look)
{
    struct spool_listing *listing;
    struct spool_message *m;
    struct spool_counts counts;
    uint64_t done = 0;
    int r = spool_listing_new(look->spool, &listing);

    if (r < 0)
        return r;
    spool_get_counts(look->spool, &counts);
    mark_noted(look);
    while (r == 0 && (m = spool_listing_next(listing))) {
        r = add_waiting(look, m);
        if (r == 0 && m->flags & SPOOL_MESSAGE_DAMAGED)
            r = note_set_aside(look, m);
        else if (r == 0 && !look->audit->quick)
            r = read_message(look, m);
        if (look->audit->progress && ++done % PROGRESS_EVERY == 0)
            look->audit->progress(look->audit->arg, done, counts.messages);
    }
    spool_listing_free(listing);
    return r;
}

static int note_damage(struct look *look)
{
    struct spool_position tail;
    int r = 0;

    if (spool_has_tail(look->spool, &tail))
        r = note_at(look, tail, (struct note){.is_tail = true},
                    "behind the last seal: never acknowledged, unless a byte there is damaged");
    for (size_t i = 0; r == 0 && i < spool_damage_count(look->spool); i++) {
        const struct spool_damage *d = spool_damage_at(look->spool, i);
        r = note_at(look, d->position, (struct note){.id = d->message}, d->what);
    }
    return r;
}

/* ---- what the book doesn't know yet ---- */

static int change_all(struct look *look, const struct spool_followed *f, uint32_t first,
                      size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = audit_add_change(look->out, &f->message, first + (uint32_t)i, true);
    return r;
}

static int change_expanded(struct look *look, const struct spool_followed *f)
{
    int r = audit_add_change(look->out, &f->message, f->expansion->parent, false);

    return r < 0 ? r : change_all(look, f, f->first_child, f->expansion->child_count);
}

static int change_statuses(struct look *look, const struct spool_followed *f)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < f->status_count; i++)
        if (spool_outcome_is_final((enum spool_outcome)f->statuses[i].outcome))
            r = audit_add_change(look->out, &f->message, f->statuses[i].recipient, false);
    return r;
}

static int take_record(struct look *look, const struct spool_followed *f)
{
    look->out->unfolded_records += f->kind != SPOOL_FOLLOWED_SEAL &&
                                   f->kind != SPOOL_FOLLOWED_RESTATED &&
                                   f->kind != SPOOL_FOLLOWED_GONE;
    switch (f->kind) {
    case SPOOL_FOLLOWED_MESSAGE:
        return change_all(look, f, 0, f->envelope->recipient_count);
    case SPOOL_FOLLOWED_EXPAND:
        return change_expanded(look, f);
    case SPOOL_FOLLOWED_STATUS:
        return change_statuses(look, f);
    case SPOOL_FOLLOWED_DAMAGED:
        return note_at(look, f->position, (struct note){0},
                       "damaged, and the book hasn't read it yet");
    case SPOOL_FOLLOWED_GAP:
        return note_at(look, f->position, (struct note){0},
                       "what comes next is gone, unread by the book");
    default:
        return 0;
    }
}

/* Behind the end of the log: the spool was made anew, and its log is another lane. */
static struct spool_position follow_from(const struct book_position *book,
                                         struct spool_position sealed)
{
    struct spool_position from = {book->segment, book->offset};

    return spool_position_compare(from, sealed) > 0 ? (struct spool_position){0, 0} : from;
}

/* What can't be read is a finding, as in the book; it ends no audit. */
static int next_record(struct spool_follower *follower, struct spool_followed *out)
{
    int r = spool_follower_next(follower, out);

    if (r != -EIO)
        return r;
    spool_follower_read_around(follower, true);
    return spool_follower_next(follower, out);
}

static int follow(struct look *look)
{
    struct spool_position sealed = spool_sealed_position(look->spool);
    struct spool_follower *follower;
    struct spool_followed record;
    struct book_position book;
    struct store *store;
    bool was_damaged; /* told by the audit of the ledger */
    int r = main_file_read_position(look->audit->ledger, &book, &was_damaged);

    if (r == 0)
        r = open_store(look, &store);
    if (r == 0)
        r = spool_follower_new(store, follow_from(&book, sealed), &follower);
    if (r < 0)
        return r;
    spool_follower_set_limit(follower, sealed);
    while ((r = next_record(follower, &record)) > 0) {
        r = take_record(look, &record);
        if (r < 0)
            break;
    }
    spool_follower_free(follower);
    return r;
}

/* ---- all of it ---- */

/* 0, -EBUSY or why it can't be known. Asked before and after: only when both say no was nobody
 * writing meanwhile, and what was found is true. */
static int check_lease(const struct look *look)
{
    struct store *store;
    int r = open_store(look, &store);

    if (r < 0)
        return r;
    r = store->ops->is_leased(store);
    store->ops->close(store);
    return r > 0 ? -EBUSY : r;
}

/* What waits first, then the damage that reading it has found, then what the book hasn't read: all
 * from one opened spool, so that it fits together. */
static int look_at_all(struct look *look)
{
    int r = check_lease(look);

    if (r == 0)
        r = open_spool(look);
    if (r == 0)
        r = read_messages(look);
    if (r == 0)
        r = note_damage(look);
    if (r == 0)
        r = follow(look);
    return r < 0 ? r : check_lease(look);
}

int cli_audit_spool(const struct cli_audit_spool *audit, struct audit_queue *out,
                    struct spool_obstacle *out_obstacle)
{
    struct look look = {.audit = audit, .out = out, .obstacle = out_obstacle, .arena = ARENA_INIT};

    look.last_note = &look.notes;
    look.buffer = malloc(READ_BYTES);
    int r = look.buffer ? look_at_all(&look) : -ENOMEM;
    if (r == 0)
        tell_notes(&look);
    spool_close(look.spool);
    arena_done(&look.arena);
    free(look.buffer);
    return r;
}
