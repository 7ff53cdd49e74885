/* smtpd, with what its clients send; and the report process. */
#include "life.h"

#include "../../unit/proc/queue/reporter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct sent {
    struct list link;
    struct world_commit commit;
};

static const char *const senders[] = {"s@far.example", "s@far.example", "user1@here.example", "",
                                      "gone@here.example"};

/* ---- messages ---- */

static uint8_t wanted;

static void wish(struct world *w, struct envelope *e, uint8_t *tickets)
{
    static struct envelope_wish wishes[8];

    if (!wanted)
        return;
    assert_true(e->recipient_count <= ARRAY_SIZE(wishes));
    for (uint32_t i = 0; i < e->recipient_count; i++)
        wishes[i] = (struct envelope_wish){i, wanted, SPAN("")};
    e->wishes = wishes;
    e->wish_count = e->recipient_count;
}

static uint8_t draw_wish(struct life *life)
{
    static const uint8_t wishes[] = {ENVELOPE_NOTIFY_NEVER, ENVELOPE_NOTIFY_SUCCESS,
                                     ENVELOPE_NOTIFY_FAILURE, ENVELOPE_NOTIFY_DELAY,
                                     ENVELOPE_NOTIFY_SUCCESS | ENVELOPE_NOTIFY_FAILURE};

    return prng_chance(&life->prng, 3000) ? wishes[prng_below(&life->prng, ARRAY_SIZE(wishes))] : 0;
}

/* Up to four, at several destinations; one may be an alias of three. */
static void draw_recipients(struct life *life, char out[static 200])
{
    static const char *const kinds[] = {"u%zu@here.example", "u%zu@here.example", "u%zu@far.test",
                                        "u%zu@other.test", "+list%zu@here.example"};
    size_t count = 1 + prng_below(&life->prng, 4), size = 0;
    bool has_list = false;

    for (size_t i = 0; i < count; i++) {
        size_t kind = prng_below(&life->prng, ARRAY_SIZE(kinds) - has_list);
        has_list |= kind == ARRAY_SIZE(kinds) - 1;
        if (i > 0)
            out[size++] = ' ';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        size += (size_t)snprintf(out + size, 200 - size, kinds[kind], i);
#pragma GCC diagnostic pop
    }
}

static void note(struct life *life, struct sent *sent, const char *sender)
{
    struct letter *letter = notes_letter(&life->notes, &sent->commit.id, span_from_cstr(sender));

    letter->notify = wanted;
    list_append(&life->sent, &sent->link);
    life->statistics.sent++;
    life_say(life, "%s is sent from <%s>", notes_text(letter), sender);
}

static struct sent *sent_new(void)
{
    struct sent *sent = calloc(1, sizeof(*sent));

    assert_non_null(sent);
    return sent;
}

void senders_send(struct life *life)
{
    char recipients[200];
    const char *sender = senders[prng_below(&life->prng, ARRAY_SIZE(senders))];

    if (!life->world->smtpd)
        return;
    struct sent *sent = sent_new();
    draw_recipients(life, recipients);
    wanted = draw_wish(life);
    life->world->spoil = wish;
    world_send(life->world, &sent->commit, sender, recipients, SPAN("hello\r\n"));
    note(life, sent, sender);
}

/* ---- large ones ---- */

static void on_taken(struct ipc_call *call, const struct ipc_message *reply)
{
    free(call);
}

static void send_piece(struct life *life, struct upload *upload)
{
    static char bytes[IPC_CHUNK_MAX];
    size_t left = upload->size - upload->sent;
    struct ipc_message m = {
        .type = IPC_UPLOAD_CHUNK,
        .upload_chunk = {.upload = upload->number,
                         .bytes = span_of(bytes, left < sizeof(bytes) ? left : sizeof(bytes))}};
    struct ipc_call *call = calloc(1, sizeof(*call));

    assert_non_null(call);
    call->fn = on_taken;
    if (ipc_call(life->world->smtpd, call, &m) < 0) /* it waits for credit */
        free(call);
    else
        upload->sent += m.upload_chunk.bytes.size;
}

static void commit_upload(struct life *life, struct upload *upload)
{
    char recipients[200];
    struct sent *sent = sent_new();

    draw_recipients(life, recipients);
    wanted = draw_wish(life);
    life->world->spoil = wish;
    world_send_upload(life->world, &sent->commit, recipients, upload->number, upload->size);
    note(life, sent, "s@far.example");
    upload->number = 0;
}

static void abort_upload(struct life *life, struct upload *upload)
{
    const struct ipc_message m = {.type = IPC_UPLOAD_ABORT, .upload_abort = {upload->number}};

    if (ipc_notify(life->world->smtpd, &m) == 0)
        upload->number = 0;
}

void senders_upload(struct life *life)
{
    struct upload *upload = &life->uploads[prng_below(&life->prng, UPLOADS)];

    if (!life->world->smtpd)
        return;
    if (!upload->number)
        *upload = (struct upload){.number = ++life->uploads_begun,
                                  .size = 70000 + prng_below(&life->prng, 300000)};
    if (prng_chance(&life->prng, 500) && upload->sent)
        abort_upload(life, upload);
    else if (upload->sent < upload->size)
        send_piece(life, upload);
    else
        commit_upload(life, upload);
}

/* ---- answers ---- */

/* 250 means that the log has it; and what was refused, while the disk did as it was told, isn't
 * there. A disk that fails may have it all the same. */
static void take_answer(struct life *life, const struct sent *sent)
{
    struct letter *letter = notes_find(&life->notes, &sent->commit.id);

    if (sent->commit.lost)
        return;
    life_say(life, "%s is answered: %u %s", notes_text(letter), sent->commit.result,
             sent->commit.text);
    if (sent->commit.result == IPC_COMMIT_ACCEPTED) {
        life->statistics.accepted++;
        letter->accepted = true;
        if (!letter->sealed && !store_sim_stopped(life->disk)) /* else nobody can look */
            notes_fail(&life->notes, "%s was accepted before it was on the disk",
                       notes_text(letter));
    } else if (letter->sealed && !life->was_faulty) {
        notes_fail(&life->notes, "%s was refused, and is in the log", notes_text(letter));
    }
}

void senders_look(struct life *life)
{
    struct list *next;

    for (struct list *link = life->sent.next; link != &life->sent; link = next) {
        struct sent *sent = CONTAINER_OF(link, struct sent, link);
        next = link->next;
        if (!sent->commit.answered)
            continue;
        take_answer(life, sent);
        list_remove(link);
        free(sent);
    }
}

void senders_join(struct life *life)
{
    senders_leave(life);
    world_join_smtpd(life->world);
}

void senders_leave(struct life *life)
{
    ipc_channel_free(life->world->smtpd);
    life->world->smtpd = NULL;
    memset(life->uploads, 0, sizeof(life->uploads));
    senders_look(life);
}

/* ---- reports ---- */

static void on_question(struct world *w, const struct ipc_report *m)
{
    struct life *life = w->player;
    struct letter *report = notes_letter(&life->notes, &m->id, SPAN(""));
    char about[ID_TEXT + 1];

    id_format(&m->original_id, about);
    report->is_report = true;
    report->kind = m->kind;
    report->life = life->number;
    report->about = m->original_id;
    for (size_t i = 0; i < m->recipient_count; i++)
        notes_name(report, m->recipients[i].address);
    life_say(life, "%s would be the report of kind %u about %s, %zu recipients", notes_text(report),
             m->kind, about, m->recipient_count);
}

void senders_join_report(struct life *life)
{
    reporter_join(life->world);
    reporter.on_question = on_question;
}

void senders_leave_report(struct life *life)
{
    reporter_forget();
}
