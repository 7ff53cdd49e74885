/*
 * BDAT (RFC 3030 section 2). The bytes of a chunk follow its command at once, without waiting for a
 * reply; so a refused chunk is read to its end and dropped, and its reply comes after its bytes.
 * Only a number that can't be read ends the session. A refused chunk ends the message: the
 * transaction is gone, and later chunks of it are out of order, each with its own refusal.
 */
#include "smtp/server/body.h"

#include <errno.h>

static const struct smtp_reply syntax = {501, "5.5.4", "write BDAT size [LAST]; closing"};
static const struct smtp_reply absurd = {552, "5.3.4", "this chunk is too large; closing"};
static const struct smtp_reply no_transaction = {503, "5.5.1", "begin with EHLO, MAIL and RCPT"};

static int parse(struct span argument, uint64_t *out_size, bool *out_last)
{
    ptrdiff_t blank = span_find(argument, ' ');
    struct span number = blank < 0 ? argument : span_first(argument, (size_t)blank);
    struct span rest = span_trim(blank < 0 ? span_of("", 0) : span_from(argument, (size_t)blank));

    *out_last = rest.size > 0;
    if (rest.size && !span_equal_nocase(rest, SPAN("LAST")))
        return -EINVAL;
    return span_to_u64(number, INT64_MAX, out_size);
}

/* Why this chunk can't be taken, or NULL. Looked at before a byte of the chunk is read, since its
 * size is known. */
static const struct smtp_reply *check_chunk(const struct smtp_server *s, uint64_t size)
{
    uint64_t max = s->settings->message_size_max;

    if (s->state != SMTP_STATE_TRANSACTION && s->state != SMTP_STATE_CHUNKS)
        return &no_transaction;
    if (s->transaction.envelope.recipient_count == 0)
        return &smtp_no_recipients;
    /* Both are under 2^63, so the sum can't wrap. */
    if (max && s->chunk_total + size > max)
        return &smtp_too_large;
    return NULL;
}

/* Its reply is due only now: replies come in the order of commands and chunks. */
static void end_dropped_chunk(struct smtp_server *s)
{
    const struct smtp_reply *refusal = s->chunk_refusal;

    s->chunk_refusal = NULL;
    smtp_state_set(s, smtp_resting_state(s));
    if (refusal == &no_transaction) {
        smtp_say_without_mail(s, refusal);
        return;
    }
    smtp_refuse(s, &(struct smtp_refusal){.phase = "data", .reply = *refusal});
    if (!s->chunk_last)
        smtp_expect_orphans(s);
}

/* In the middle, too: what is refused already need not be sent on, but may have been. */
static void end_message(struct smtp_server *s)
{
    if (!s->chunk_last)
        smtp_expect_orphans(s);
    smtp_message_end(s);
}

static void end_chunk(struct smtp_server *s)
{
    if (s->chunk_refusal) {
        end_dropped_chunk(s);
    } else if (s->chunk_last || smtp_body_problem(s->body)) {
        end_message(s);
    } else {
        buffer_printf(&s->out, "250 2.0.0 %llu bytes taken\r\n", (unsigned long long)s->chunk_size);
        smtp_state_set(s, SMTP_STATE_CHUNKS);
    }
}

static void begin_chunk(struct smtp_server *s, uint64_t size, bool last)
{
    if (s->state != SMTP_STATE_CHUNKS)
        s->message_started_ms = s->time->monotonic_ms;
    s->chunk_left = s->chunk_size = size;
    s->chunk_last = last;
    if (s->chunk_refusal)
        smtp_transaction_reset(s);
    else
        s->chunk_total += size;
    smtp_state_set(s, SMTP_STATE_CHUNK);
    if (size == 0)
        end_chunk(s);
}

/* Where the number can't be trusted, nobody knows where the next command begins: the session ends.
 */
static void refuse_unreadable(struct smtp_server *s, const struct smtp_reply *reply)
{
    smtp_refuse(s, &(struct smtp_refusal){.phase = "data", .reply = *reply});
    smtp_close(s, NULL);
}

void smtp_do_bdat(struct smtp_server *s, const struct smtp_command *command)
{
    uint64_t size;
    bool last;
    int r = parse(command->argument, &size, &last);

    if (r < 0) {
        refuse_unreadable(s, r == -ERANGE ? &absurd : &syntax);
        return;
    }
    if (s->state != SMTP_STATE_CHUNKS)
        s->chunk_total = 0;
    s->chunk_refusal = check_chunk(s, size);
    if (!s->chunk_refusal && !s->body) {
        s->body = smtp_body_new(s, false);
        if (!s->body) {
            smtp_close(s, &smtp_no_memory_closing);
            return;
        }
    }
    begin_chunk(s, size, last);
}

size_t smtp_bdat_input(struct smtp_server *s, struct span in)
{
    size_t used;

    in = span_first(in, s->chunk_left < SIZE_MAX ? (size_t)s->chunk_left : SIZE_MAX);
    used = s->chunk_refusal ? in.size : smtp_body_feed(s->body, in);
    s->chunk_left -= used;
    s->progress_ms = s->time->monotonic_ms;
    if (s->chunk_left == 0)
        end_chunk(s);
    return used;
}
