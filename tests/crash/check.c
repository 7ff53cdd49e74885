/* What the spool shows, against what the model knows (the rules of src/spool/README.md). */
#include "world.h"

#include "spool/lane.h"

#include <errno.h>
#include <stdlib.h>

static const char *id_text(const struct id *id)
{
    static char text[ID_TEXT + 1];
    id_format(id, text);
    return text;
}

static bool same_envelope(const struct envelope *a, const struct envelope *b)
{
    struct buffer one = BUFFER_INIT, other = BUFFER_INIT;
    bool same = codec_encode(&envelope_codec, a, &one) == 0 &&
                codec_encode(&envelope_codec, b, &other) == 0 &&
                span_equal(buffer_span(&one), buffer_span(&other));
    buffer_done(&one);
    buffer_done(&other);
    return same;
}

static bool same_expansion(const struct spool_expansion *a, const struct spool_expansion *b)
{
    if (a->parent != b->parent || a->child_count != b->child_count)
        return false;
    for (size_t i = 0; i < a->child_count; i++)
        if (!span_equal(a->children[i].address, b->children[i].address) ||
            memcmp(a->children[i].key, b->children[i].key, ENVELOPE_KEY_BYTES) != 0)
            return false;
    return true;
}

static bool same_stored(const struct spool_stored *stored, const struct model_content *content,
                        const struct model_message *message)
{
    if (stored->header_bytes != content->header.size || stored->body_bytes != content->body.size ||
        stored->expansion_count != message->expansions ||
        !same_envelope(&stored->envelope, &content->envelope))
        return false;
    for (size_t i = 0; i < stored->expansion_count; i++)
        if (!same_expansion(&stored->expansions[i], &content->expansions[i]))
            return false;
    return true;
}

/* Reads header and body to the end in pieces of chance. */
static int compare_stream(struct world *w, struct spool_reader *reader,
                          const struct model_content *content)
{
    char piece[20000];
    uint64_t at = 0, header = content->header.size, total = header + content->body.size;

    for (;;) {
        size_t want = 1 + prng_below(&w->prng, sizeof piece);
        ssize_t got = spool_reader_read(reader, at, piece, want);
        if (got < 0)
            return (int)got;
        if (got == 0)
            return at == total ? 0 : -ENODATA;
        if (at + (uint64_t)got > total)
            return -EFBIG;
        for (ssize_t i = 0; i < got; i++, at++)
            if (piece[i] !=
                (at < header ? content->header.data[at] : content->body.data[at - header]))
                return -EILSEQ;
    }
}

void world_check_bytes(struct world *w, struct spool_message *shown, struct model_message *message)
{
    struct model_content content;
    struct spool_reader *reader;
    const struct spool_stored *stored;

    int r = spool_reader_open(w->spool, shown, &reader);
    if (r < 0) {
        model_fail(&w->model, "%s can't be opened: %s", id_text(&message->id), strerror(-r));
        return;
    }
    model_content_make(message, &content);
    r = spool_reader_load(reader, &stored);
    if (r == 0 && !same_stored(stored, &content, message))
        model_fail(&w->model, "%s has another envelope", id_text(&message->id));
    if (r == 0)
        r = compare_stream(w, reader, &content);
    bool stumbled = r == -EIO && w->stumbling;
    if (r < 0 && !stumbled && !store_sim_stopped(w->sim))
        model_fail(&w->model, "bytes of %s: %s", id_text(&message->id), strerror(-r));
    spool_reader_close(w->spool, reader);
    model_content_done(&content);
}

static bool was_rerouted(const struct model_message *message)
{
    for (uint32_t i = 0; i < message->recipient_count; i++)
        for (size_t s = 0; s < message->recipients[i].count; s++)
            if (message->recipients[i].statuses[s].route.size)
                return true;
    return false;
}

/* Each goes where it was last sent. */
static void check_routes(struct world *w, struct spool_message *shown,
                         struct model_message *message)
{
    struct model_content content;

    if (!was_rerouted(message))
        return;
    model_content_make(message, &content);
    struct spool_stored stored = {.envelope = content.envelope,
                                  .expansions = content.expansions,
                                  .expansion_count = message->expansions};
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        const struct spool_recipient *row = spool_find_recipient(shown, i);
        const struct envelope_recipient *r = spool_stored_recipient(&stored, i);
        if (!row || !r)
            continue;
        struct span own = span_from(r->address, (size_t)(span_find_last(r->address, '@') + 1));
        struct span where = spool_domain(w->spool, row->domain);
        if (!model_may_go_to(&w->model, &message->recipients[i], own, where))
            model_fail(&w->model, "%s recipient %u goes to %.*s", id_text(&message->id), i,
                       SPAN_ARG(where));
    }
    model_content_done(&content);
}

static void check_notices(struct world *w, struct spool_message *shown,
                          const struct model_message *message)
{
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        const struct spool_recipient *row = spool_find_recipient(shown, i);
        if (row && !model_may_be_notified(&w->model, &message->recipients[i], row->is_notified))
            model_fail(&w->model, "%s recipient %u: that its sender was told is %s",
                       id_text(&message->id), i, row->is_notified ? "invented" : "forgotten");
    }
}

/* The rows of one message against the model; also right when a crash left it to choose. */
static void check_rows(struct world *w, struct spool_message *shown, struct model_message *message)
{
    for (uint32_t i = 0; i < message->recipient_count; i++) {
        struct spool_recipient *row = shown ? spool_find_recipient(shown, i) : NULL;
        if (model_adopt_recipient(&w->model, message, i, row))
            continue;
        if (row)
            model_fail(&w->model,
                       "%s (record %lu) recipient %u: is in state %u after %u attempts, next %ld",
                       id_text(&message->id), (unsigned long)message->sequence, i, row->state,
                       row->attempts, (long)row->next_attempt_us);
        else
            model_fail(&w->model, "%s (record %lu) recipient %u: is lost", id_text(&message->id),
                       (unsigned long)message->sequence, i);
    }
    if (!shown)
        return;
    check_routes(w, shown, message);
    check_notices(w, shown, message);
}

/* MAYBE becomes what is shown. */
static void adopt_message(struct model *model, struct model_message *message, bool shown)
{
    for (uint64_t i = 0; i <= message->expansions; i++)
        model->records[message->sequence + i].fate = shown ? MODEL_SEALED : MODEL_DEAD;
}

static void check_message(struct world *w, struct model_message *message)
{
    struct spool_message *shown = spool_find(w->spool, &message->id);
    enum model_fate fate = model_fate_of(&w->model, message);

    if (message->harmed)
        return;
    if (fate == MODEL_MAYBE) {
        adopt_message(&w->model, message, shown != NULL);
        if (!shown)
            return;
    } else if (!shown && model_must_exist(&w->model, message)) {
        model_fail(&w->model, "%s (record %lu) was acknowledged and is lost", id_text(&message->id),
                   (unsigned long)message->sequence);
        return;
    }
    check_rows(w, shown, message);
    message->listed = true;
    if (shown)
        world_check_bytes(w, shown, message);
    else
        message->gone = true;
}

static void check_pins(struct world *w, const struct segment *segment)
{
    if (segment->pins)
        model_fail(&w->model, "%s segment %lu is pinned for nothing",
                   segment->kind == STORE_LOG ? "log" : "bulk", (unsigned long)segment->number);
}

void world_check_let_go(struct world *w)
{
    world_abandon_uploads(w);
    world_settle(w);
    if (!list_is_empty(&w->spool->uploads) || w->spool->bulk_pending_bytes || w->credits)
        model_fail(&w->model, "an upload that was given up isn't gone");
    for (int kind = 0; kind < 2 && !w->spool->compaction; kind++)
        LIST_EACH(&w->spool->segments[kind], link)
    check_pins(w, CONTAINER_OF(link, struct segment, link));
}

/* Nothing may be there that the model doesn't know, or knows to be gone. */
static void check_no_ghosts(struct world *w)
{
    struct spool_listing *listing;
    struct spool_message *shown;
    const struct id *before = NULL;
    struct id last;

    if (spool_listing_new(w->spool, &listing) < 0) {
        model_fail(&w->model, "no listing");
        return;
    }
    while ((shown = spool_listing_next(listing)) != NULL) {
        struct model_message *message = model_find(&w->model, &shown->id);
        if (!message)
            model_fail(&w->model, "%s was never given", id_text(&shown->id));
        else if (!message->harmed &&
                 (message->gone || model_fate_of(&w->model, message) == MODEL_DEAD))
            model_fail(&w->model, "%s (record %lu) came back", id_text(&shown->id),
                       (unsigned long)message->sequence);
        if (before && id_compare(before, &shown->id) >= 0)
            model_fail(&w->model, "%s is listed out of order", id_text(&shown->id));
        last = shown->id;
        before = &last;
    }
    spool_listing_free(listing);
}

/* That files aren't ours, or were renamed, is said only where somebody did that: a copy of one of
 * ours under another name is like a renamed one. */
static bool may_be_said(const struct world *w, const char *what)
{
    if (strstr(what, "renamed"))
        return w->has_copies;
    return w->is_littered || (!strstr(what, "another spool's") && !strstr(what, "none of ours"));
}

/* A torn write can't be told from damage where nothing was sealed yet: in the header of a segment
 * whose first group was under way (rule 2). */
static void check_no_damage(struct world *w)
{
    for (size_t i = 0; i < spool_damage_count(w->spool); i++) {
        const struct spool_damage *damage = spool_damage_at(w->spool, i);
        const struct model_message *message = model_find(&w->model, &damage->message);
        if ((w->hoards && strncmp(damage->what, "the checkpoint", 14) == 0) ||
            (message && message->harmed))
            continue;
        if (damage->position.offset != 0 || !id_is_zero(&damage->message) ||
            !may_be_said(w, damage->what))
            model_fail(&w->model, "damage where there was none, at %lu in %lu: %s",
                       (unsigned long)damage->position.offset,
                       (unsigned long)damage->position.segment, damage->what);
    }
}

void world_check_all(struct world *w)
{
    check_no_ghosts(w);
    for (size_t i = 0; i < w->model.live_count && !model_failed(&w->model); i++)
        check_message(w, &w->model.messages[w->model.live[i]]);
    model_sweep(&w->model);
    check_no_damage(w);
}
