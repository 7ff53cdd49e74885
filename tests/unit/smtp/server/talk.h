/* A client that talks with a server session, and the backend behind it, which does what the test
 * says: answers at once or later, and takes pieces of bodies or doesn't. */
#pragma once

#include "../../unit.h"
#include "../backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct talk {
    struct smtp_server_settings settings;
    struct smtp_server_time time;
    struct smtp_server_client client;
    struct smtp_server *server;
    struct buffer said; /* what the session said and nobody has looked at */
    bool unread;        /* the client doesn't read */

    struct smtp_answer answer; /* to all questions but the one about the client */
    bool trusted;              /* what the answer to that says */
    bool hold;                 /* it comes later: talk_answer() */
    struct smtp_question *open;
    unsigned wakes;

    struct buffer body;                         /* of the last message, or the pieces so far */
    struct buffer header;                       /* that it got from us */
    unsigned pieces, aborts, messages, blocked; /* `blocked`: pieces that can't be taken yet */
    void (*on_message)(struct talk *t, const struct smtp_message *message);
    void (*on_refused)(struct talk *t, const struct event *event);
    struct id_maker ids;
};

static inline void talk_answer(struct talk *t)
{
    struct smtp_question *q = t->open;

    t->open = NULL;
    smtp_question_answer(q, &t->answer);
}

static inline void talk_take_message(struct talk *t, const struct smtp_message *m)
{
    t->messages++;
    assert_true(m->body.size <= SMTP_INLINE_MAX && (!m->uploaded || m->body.size == 0));
    if (!m->uploaded) {
        buffer_clear(&t->body);
        buffer_append_span(&t->body, m->body);
    }
    assert_int_equal(m->envelope->size_bytes, t->body.size);
    buffer_clear(&t->header);
    buffer_append_span(&t->header, m->header);
    if (t->on_message)
        t->on_message(t, m);
}

static int talk_ask(void *context, struct smtp_question *q)
{
    struct talk *t = context;

    if (q->kind == SMTP_ASK_CLIENT) {
        smtp_question_answer(q, &(struct smtp_answer){.trusted = t->trusted});
        return 0;
    }
    if (q->kind == SMTP_ASK_MESSAGE)
        talk_take_message(t, q->message);
    assert_null(t->open);
    t->open = q;
    if (!t->hold)
        talk_answer(t);
    return 0;
}

static void talk_cancel(void *context, struct smtp_question *q)
{
    struct talk *t = context;
    assert_ptr_equal(t->open, q);
    t->open = NULL;
}

static int talk_upload(void *context, struct span piece)
{
    struct talk *t = context;

    assert_true(piece.size > 0 && piece.size <= SMTP_INLINE_MAX);
    if (t->blocked) {
        t->blocked--;
        return -EAGAIN;
    }
    if (t->pieces++ == 0)
        buffer_clear(&t->body);
    return buffer_append_span(&t->body, piece);
}

static void talk_upload_abort(void *context)
{
    ((struct talk *)context)->aborts++;
}

static void talk_refused(void *context, const struct event *event)
{
    struct talk *t = context;

    if (t->on_refused)
        t->on_refused(t, event);
}

static struct id talk_make_id(void *context)
{
    struct talk *t = context;
    return id_make(&t->ids, t->time.wall_us);
}

static void talk_wake(void *context)
{
    ((struct talk *)context)->wakes++;
}

static inline void talk_begin(struct talk *t)
{
    static const struct smtp_server_backend backend = {.ask = talk_ask,
                                                       .cancel = talk_cancel,
                                                       .upload = talk_upload,
                                                       .upload_abort = talk_upload_abort,
                                                       .refused = talk_refused,
                                                       .make_id = talk_make_id,
                                                       .wake = talk_wake};

    assert_int_equal(smtp_server_prepare(), 0);
    id_maker_init(&t->ids, 1, 7);
    t->settings.hostname = SPAN("mx.test");
    t->settings.service = SPAN("mx");
    t->settings.banner = SPAN("ESMTP");
    if (!t->settings.recipients_max)
        t->settings.recipients_max = 100;
    t->time.wall_us = INT64_C(1795284003000000);
    t->client.session = talk_make_id(t);
    t->server = smtp_server_new(&t->settings, &backend, t, &t->time, &t->client);
    assert_non_null(t->server);
}

static inline void talk_done(struct talk *t)
{
    smtp_server_free(t->server);
    assert_null(t->open);
    buffer_done(&t->said);
    buffer_done(&t->body);
    buffer_done(&t->header);
}

static inline void talk_read(struct talk *t)
{
    struct span out = smtp_server_output(t->server);

    buffer_append_span(&t->said, out);
    smtp_server_sent(t->server, out.size);
}

/* In pieces of `step` bytes; returns what was taken. A stuck upload is let go on. */
static inline size_t talk_send(struct talk *t, struct span bytes, size_t step)
{
    size_t at = 0;

    while (at < bytes.size) {
        size_t used = smtp_server_input(t->server, span_first(span_from(bytes, at), step));
        at += used;
        if (!t->unread)
            talk_read(t);
        if (used)
            continue;
        if (t->open || t->unread || smtp_server_is_over(t->server) ||
            smtp_server_wants_input(t->server))
            break;
        smtp_server_resume(t->server, 0);
    }
    return at;
}

static inline void talk_say(struct talk *t, const char *text)
{
    assert_int_equal(talk_send(t, span_from_cstr(text), SIZE_MAX), strlen(text));
}

/* The next line begins with `start`; returns all of it, until the next call. */
static inline const char *talk_hear(struct talk *t, const char *start)
{
    static char line[1024];
    struct span rest = buffer_span(&t->said), got;

    talk_read(t);
    rest = buffer_span(&t->said);
    assert_true(span_next_line(&rest, &got));
    snprintf(line, sizeof(line), SPAN_FMT, SPAN_ARG(got));
    if (strncmp(line, start, strlen(start)) != 0)
        print_error("\"%s\" instead of \"%s\"\n", line, start);
    assert_int_equal(strncmp(line, start, strlen(start)), 0);
    buffer_consume(&t->said, got.size + 1);
    return line;
}

/* Up to where the message is. `word`: what begins it. */
static inline void talk_open(struct talk *t, const char *word)
{
    talk_hear(t, "220 ");
    talk_say(t, "HELO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n");
    talk_say(t, word);
    for (int i = 0; i < 3; i++)
        talk_hear(t, "250 ");
}
