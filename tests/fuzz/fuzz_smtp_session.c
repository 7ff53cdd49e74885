/* A whole server session. The first bytes choose its world: how answers come, how input is cut,
 * which verdicts there are; 0xFF bytes in the input are time that passes. Whatever happens, nothing
 * stays open behind the session (smtp_world_done), and replies are lines of printable text. */
#include "fuzz.h"

#include "smtp_world.h"

static void check_output(struct smtp_world *w)
{
    struct span out = smtp_server_output(w->server);

    for (size_t i = 0; i < out.size; i++)
        assert((out.data[i] >= ' ' && out.data[i] <= '~') || out.data[i] == '\r' ||
               out.data[i] == '\n');
    assert(out.size == 0 || out.data[out.size - 1] == '\n');
    smtp_server_sent(w->server, out.size);
}

static void choose(struct smtp_world *w, uint8_t what)
{
    static const struct smtp_answer verdicts[] = {
        {.verdict = SMTP_ACCEPT},
        {.verdict = SMTP_UNKNOWN},
        {.verdict = SMTP_DEFER, .code = 452, .enhanced = "4.3.1", .text = SPAN("a\r\n250 b")},
        {.verdict = SMTP_NO_ROUTE}};

    w->order = (enum smtp_world_order)(what % 3);
    w->client.normalize = what & 4;
    w->blocked = what & 8;
    w->settings.message_size_max = what & 16 ? 300 : 100000;
    w->settings.recipients_max = what & 32 ? 2 : 100;
    w->rules[0] = (struct smtp_world_rule){
        .kind = SMTP_ASK_RECIPIENT, .address = "b@c", .answer = verdicts[what >> 6]};
    w->rule_count = 1;
}

static size_t step(struct smtp_world *w, struct span in, size_t piece)
{
    if ((unsigned char)in.data[0] == 0xFF) {
        w->time.monotonic_ms += 50000;
        smtp_server_expire(w->server);
        return 1;
    }
    const char *pause = memchr(in.data, 0xFF, in.size);
    if (pause)
        in.size = (size_t)(pause - in.data);
    return smtp_server_input(w->server, span_first(in, piece));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_world w;
    struct span in;

    if (size < 2)
        return 0;
    smtp_world_init(&w);
    choose(&w, data[0]);
    assert(smtp_world_connect(&w) == 0);
    if (w.order != SMTP_WORLD_AT_ONCE)
        smtp_world_answer_all(&w);
    in = span_of(data + 2, size - 2);
    while (in.size) {
        size_t used = step(&w, in, data[1] ? data[1] : in.size);
        check_output(&w);
        in = span_from(in, used);
        if (used)
            continue;
        if (w.open_count == 0 && !w.blocked)
            break;
        w.blocked = false;
        smtp_world_answer_all(&w);
        smtp_server_resume(w.server, 0);
        check_output(&w);
    }
    smtp_world_done(&w);
    return 0;
}
