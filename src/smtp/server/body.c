/*
 * Each piece is decoded, hashed and scanned in one pass while it is in the cache; up to
 * SMTP_INLINE_MAX bytes are kept. The first byte beyond turns the body into an upload, which the
 * backend gets in pieces of that size. With a problem the same path runs on with nothing kept: the
 * end must still be found.
 */
#include "smtp/server/body.h"

#include "mail/header.h"
#include "mail/loop.h"
#include "smtp/data.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static const struct smtp_reply header_too_large = {554, "5.6.0",
                                                   "the header of the message is too large"};

static const struct smtp_reply was_here = {
    554, "5.4.6", "the message was in this mailbox before: it runs in a loop"};

static const struct smtp_reply faults[] = {
    [SMTP_DATA_FAULT_BARE_CR] = {554, "5.6.0", "holds a CR without LF (RFC 5321 section 2.3.8)"},
    [SMTP_DATA_FAULT_BARE_LF] = {554, "5.6.0", "ends in LF without CR (RFC 5321 section 2.3.8)"},
    [SMTP_DATA_FAULT_NUL] = {554, "5.6.0", "holds a NUL byte"},
    [SMTP_DATA_FAULT_LONG_LINE] = {554, "5.6.0", "is too long"},
};

struct smtp_body {
    struct smtp_server *server;
    struct smtp_data data;
    struct header_scan scan;
    struct mail_loop loop;
    EVP_MD_CTX *digest;
    struct buffer bytes; /* decoded and not handed to the backend yet */
    uint64_t size;
    bool uploading; /* the backend has pieces, or one that waits, which may have to be aborted */
    bool uploaded;
    bool stuck;
    const struct smtp_reply *problem; /* the first one */
    struct smtp_reply own_reply;      /* of a problem whose text has a number in it */
    char own_text[128];
    uint8_t result[ENVELOPE_DIGEST_BYTES];
};

/* Fetched once: each implicit fetch would search OpenSSL's providers again. */
static EVP_MD *sha256;

int smtp_server_prepare(void)
{
    if (!sha256)
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    return sha256 ? 0 : -ENOMEM;
}

struct smtp_body *smtp_body_new(struct smtp_server *server, bool dots)
{
    struct smtp_body *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    b->server = server;
    b->bytes.limit = SMTP_INLINE_MAX;
    smtp_data_init(&b->data, dots, server->client.normalize, SMTP_BODY_LINE_MAX);
    header_scan_init(&b->scan);
    b->loop = MAIL_LOOP_INIT;
    b->digest = EVP_MD_CTX_new();
    if (!b->digest || smtp_server_prepare() < 0 || !EVP_DigestInit_ex(b->digest, sha256, NULL)) {
        smtp_body_free(b);
        return NULL;
    }
    return b;
}

void smtp_body_abort_upload(struct smtp_body *b)
{
    if (b->uploading)
        b->server->backend->upload_abort(b->server->context);
    b->uploading = false;
}

void smtp_body_free(struct smtp_body *b)
{
    if (!b)
        return;
    smtp_body_abort_upload(b);
    EVP_MD_CTX_free(b->digest);
    mail_loop_done(&b->loop);
    buffer_done(&b->bytes);
    free(b);
}

/* The first problem is the one that is told; an upload is of no use from then on. */
static void set_problem(struct smtp_body *b, const struct smtp_reply *problem)
{
    if (!b->problem)
        b->problem = problem;
    smtp_body_abort_upload(b);
}

static void set_fault(struct smtp_body *b)
{
    const struct smtp_reply *fault = &faults[b->data.fault];

    snprintf(b->own_text, sizeof(b->own_text), "line %llu of the message %s",
             (unsigned long long)b->data.line, fault->text);
    b->own_reply = (struct smtp_reply){fault->code, fault->enhanced, b->own_text};
    set_problem(b, &b->own_reply);
}

/* The message goes in a circle: each of its rounds has added its Received: fields. */
static void set_loop(struct smtp_body *b)
{
    snprintf(b->own_text, sizeof(b->own_text),
             "the message has passed more than %u stations, it probably goes in a circle",
             b->server->settings->hops_max);
    b->own_reply = (struct smtp_reply){554, "5.4.6", b->own_text};
    set_problem(b, &b->own_reply);
}

static bool has_passed_too_many(const struct smtp_body *b)
{
    uint32_t max = b->server->settings->hops_max;

    return max && b->scan.received > max;
}

/* Size first, since it is what clients can act on; faults last, as the others may come of them. */
static void find_problems(struct smtp_body *b)
{
    uint64_t max = b->server->settings->message_size_max;

    if (b->problem)
        return;
    if (max && b->size > max)
        set_problem(b, &smtp_too_large);
    else if (buffer_error(&b->bytes))
        set_problem(b, &smtp_no_memory);
    else if (has_passed_too_many(b))
        set_loop(b);
    else if (b->scan.bytes > SMTP_HEADER_MAX)
        set_problem(b, &header_too_large);
    else if (b->data.fault != SMTP_DATA_FAULT_NONE)
        set_fault(b);
}

/* Looks at what was decoded since `start`. With a problem the bytes are dropped as they come: only
 * the end is looked for. */
static void take_new(struct smtp_body *b, size_t start)
{
    struct span piece = span_from(buffer_span(&b->bytes), start);

    b->size += piece.size;
    if (!b->problem) {
        header_scan_feed(&b->scan, piece);
        mail_loop_feed(&b->loop, piece);
        if (piece.size && !EVP_DigestUpdate(b->digest, piece.data, piece.size))
            set_problem(b, &smtp_no_memory);
        find_problems(b);
    }
    if (b->problem)
        buffer_clear(&b->bytes);
}

/* The largest piece of input whose decoding surely fits. */
static size_t piece_max(const struct smtp_body *b)
{
    size_t room = SMTP_INLINE_MAX - b->bytes.size;

    if (room <= smtp_data_growth(&b->data, 1))
        return 0;
    return b->data.normalize ? (room - 2) / 2 : room - 2;
}

/* All or nothing, so that a piece can simply be given again. */
static bool flush(struct smtp_body *b)
{
    if (b->bytes.size == 0 || b->problem)
        return true;
    int r = b->server->backend->upload(b->server->context, buffer_span(&b->bytes));
    if (r == -EAGAIN) {
        b->stuck = b->uploading = true;
        return false;
    }
    b->uploading = r == 0; /* a failed piece ends the upload: nothing to abort */
    b->uploaded = true;
    if (r < 0)
        set_problem(b, smtp_storage_reply(r));
    buffer_clear(&b->bytes);
    return true;
}

/* Decoding goes straight into the buffer that is handed on: no more may come out of a piece than
 * fits. */
size_t smtp_body_feed(struct smtp_body *b, struct span in)
{
    if (piece_max(b) == 0 && !flush(b))
        return 0;
    size_t start = b->bytes.size;
    size_t used = smtp_data_decode(&b->data, span_first(in, piece_max(b)), &b->bytes);
    take_new(b, start);
    return used;
}

bool smtp_body_has_ended(const struct smtp_body *b)
{
    return b->data.state == SMTP_DATA_END;
}

bool smtp_body_is_stuck(const struct smtp_body *b)
{
    return b->stuck;
}

void smtp_body_resume(struct smtp_body *b, int error)
{
    b->stuck = false;
    if (error < 0) {
        b->uploading = false; /* lost with all its pieces: nothing to abort */
        set_problem(b, smtp_storage_reply(error));
        buffer_clear(&b->bytes);
    }
}

/* Anybody can write the field. Taken and returned later, the message would go to whoever is named
 * as its sender; refused now, it stays with who sends it. */
static bool is_loop(const struct smtp_body *b)
{
    const struct smtp_transaction *t = &b->server->transaction;

    for (size_t i = 0; b->loop.marks && i < t->envelope.recipient_count; i++)
        if (t->mailboxes[i] && mail_loop_has(&b->loop, t->envelope.recipients[i].address))
            return true;
    return false;
}

void smtp_body_finish(struct smtp_body *b)
{
    size_t start = b->bytes.size;

    smtp_data_finish(&b->data, &b->bytes);
    take_new(b, start);
    if (!b->problem && buffer_error(&b->loop.seen) == -ENOMEM)
        set_problem(b, &smtp_no_memory);
    if (!b->problem && is_loop(b))
        set_problem(b, &was_here);
    if (!b->problem && !EVP_DigestFinal_ex(b->digest, b->result, NULL))
        set_problem(b, &smtp_no_memory);
}

const struct smtp_reply *smtp_body_problem(struct smtp_body *b)
{
    return b->problem;
}

bool smtp_body_flush_upload(struct smtp_body *b)
{
    return !b->uploaded || flush(b);
}

/* From here on the upload is the commit's: freeing the body must not abort it. */
void smtp_body_hand_over(struct smtp_body *b, struct envelope *envelope,
                         struct smtp_message *out_message)
{
    envelope->size_bytes = b->size;
    memcpy(envelope->digest, b->result, sizeof(b->result));
    envelope->message_id = header_scan_message_id(&b->scan);
    *out_message = (struct smtp_message){
        .envelope = envelope, .body = buffer_span(&b->bytes), .uploaded = b->uploaded};
    b->uploading = false;
}
