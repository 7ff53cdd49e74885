/* A whole client session. The first byte chooses the message and how the input is cut; 0xFF bytes
 * in the input are time that passes. Whatever the station says, no bare CR or LF and no second end
 * of data leaves, and at the end each recipient has a result. */
#include "fuzz.h"

#include "smtp/client/client.h"

struct world {
    int64_t now_ms;
    struct smtp_client *client;
    struct smtp_client_mail mail;
    struct smtp_client_recipient recipients[3];
    bool after_cr;
    bool body_given;
};

static void take_output(struct world *w)
{
    struct span out = smtp_client_output(w->client);

    for (size_t i = 0; i < out.size; i++) {
        assert(w->after_cr == (out.data[i] == '\n'));
        w->after_cr = out.data[i] == '\r';
    }
    smtp_client_sent(w->client, out.size);
}

static void pump(struct world *w)
{
    if (smtp_client_is_ready(w->client) && smtp_client_mail_count(w->client) < 4) {
        w->body_given = false;
        for (size_t i = 0; i < w->mail.recipient_count; i++)
            if (!smtp_result_is_open(w->recipients[i].result))
                w->recipients[i].result = SMTP_RESULT_OPEN;
        smtp_client_begin(w->client, &w->mail);
    }
    while (smtp_client_wants_body(w->client)) {
        size_t half = w->mail.body.size / 2;
        smtp_client_body(w->client, w->body_given ? span_from(w->mail.body, half)
                                                  : span_first(w->mail.body, half));
        w->body_given = true;
    }
    take_output(w);
}

static void choose(struct world *w, uint8_t what)
{
    static const struct span bodies[] = {
        SPAN("A: b\r\n\r\n.x\r\n.\r\n"), SPAN(""), SPAN("A: b\r\n\r\n\xc3\xa4 \n.\n.\r\n\r"),
        SPAN("A: \xc3\xa4\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n")};

    w->mail = (struct smtp_client_mail){.sender = SPAN("a@a.test"),
                                        .recipients = w->recipients,
                                        .recipient_count = 1 + what % 3,
                                        .header = SPAN("Received: x\r\n"),
                                        .body = bodies[what >> 2 & 3],
                                        .smtputf8 = what & 32,
                                        .eight_bit = what & 64};
    w->mail.size_bytes = w->mail.body.size;
    for (int i = 0; i < 3; i++)
        w->recipients[i].address = SPAN("b@b.test");
}

static void finish(struct world *w)
{
    if (!smtp_client_is_over(w->client))
        smtp_client_lost(w->client, "it closed the connection");
    assert(smtp_client_is_over(w->client));
    for (size_t i = 0; i < w->mail.recipient_count; i++)
        assert(w->recipients[i].result != SMTP_RESULT_PENDING &&
               w->recipients[i].result != SMTP_RESULT_ACCEPTED);
    smtp_client_free(w->client);
    arena_done(&w->mail.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct smtp_client_settings settings = {SPAN("mx.test"), smtp_client_timeouts_default};
    struct world w = {.now_ms = 1};

    if (size < 1)
        return 0;
    w.client = smtp_client_new(&settings, &w.now_ms);
    assert(w.client);
    choose(&w, data[0]);
    struct span in = span_of(data + 1, size - 1);
    while (in.size && !smtp_client_is_over(w.client)) {
        size_t piece = data[0] & 128 ? 1 : in.size;
        if ((unsigned char)*in.data == 0xFF) {
            w.now_ms += 100000;
            smtp_client_expire(w.client);
            piece = 1;
        } else {
            const char *pause = memchr(in.data, 0xFF, piece);
            piece = pause ? (size_t)(pause - in.data) : piece;
            smtp_client_input(w.client, span_first(in, piece));
        }
        in = span_from(in, piece);
        pump(&w);
    }
    finish(&w);
    return 0;
}
