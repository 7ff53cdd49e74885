/*
 * Replays scripts against a server session: "replay_smtp_server FILE…". Each script runs in every
 * combination of input (whole, a byte at a time) and answers (at once, later, later and backwards)
 * with the same expectations; then it is cut after each byte of input, and nothing may stay behind.
 *
 * A line of a script is "K: text"; in the text \r \n \0 \t \\ \xNN stand for bytes. Empty lines and
 * lines that begin with '#' are skipped.
 *   C: a line from the client, CRLF is added          c: bytes from the client, as they are
 *   L: N text      the line N times                   S: the next line of output; '*' is anything
 *   N:             no more output for now             A: answer what waits (after "set hold 1")
 *   M: B: H: R:    the next message as one line, the last message's body, its new header, the next
 *                  refusal; '*' is anything
 *   T: ms          time passes                        D: ms until the deadline
 *   E: the client's end    Q: shutdown    O: the session is over    U: ok, or lost: the upload
 *   set NAME VALUE         a setting, before or between
 *   on KIND ADDRESS VERDICT [TEXT]           how a question is answered
 *   on recipient ADDRESS accept as ADDRESS   where it goes
 */
#include "script_text.h"
#include "smtp_world.h"

#include <stdio.h>
#include <stdlib.h>

struct run {
    struct smtp_world world;
    const char *file;
    unsigned line;
    bool bytewise;
    long budget;          /* bytes of input until the client drops; -1: it stays */
    struct buffer input;  /* not taken by the session yet */
    struct buffer output; /* not looked at yet */
    size_t messages_at, refusals_at;
    size_t fed; /* bytes the client sent */
};

static void fail(const struct run *r, const char *what, struct span got)
{
    fprintf(stderr, "%s:%u: %s (bytewise %d, order %d): \"" SPAN_FMT "\"\n", r->file, r->line, what,
            r->bytewise, r->world.order, SPAN_ARG(got));
    exit(1);
}

static void take_output(struct run *r)
{
    struct span out = smtp_server_output(r->world.server);
    buffer_append_span(&r->output, out);
    smtp_server_sent(r->world.server, out.size);
}

/* Feeds until the session takes no more. */
static void feed_all(struct run *r)
{
    size_t at = 0, used;

    do {
        struct span in = span_from(buffer_span(&r->input), at);
        if (r->bytewise)
            in = span_first(in, 1);
        used = in.size ? smtp_server_input(r->world.server, in) : 0;
        at += used;
        take_output(r);
    } while (used);
    buffer_consume(&r->input, at);
}

/* Feeds and answers until nothing moves. */
static void pump(struct run *r)
{
    struct smtp_world *w = &r->world;
    size_t before;

    do {
        before = r->input.size + w->open_count;
        feed_all(r);
        if (!w->hold)
            smtp_world_answer_all(w);
        take_output(r);
    } while (r->input.size + w->open_count != before);
}

static void expect_line(struct run *r, struct span pattern)
{
    struct span all = buffer_span(&r->output);
    ptrdiff_t lf = span_find(all, '\n');

    if (lf < 1 || all.data[lf - 1] != '\r')
        fail(r, "no line of output, there is", all);
    struct span line = span_first(all, (size_t)lf - 1);
    if (line.size > 510 || !script_matches(pattern, line))
        fail(r, "the server said", line);
    buffer_consume(&r->output, (size_t)lf + 1);
}

static void expect_next(struct run *r, const struct buffer *lines, size_t *at, struct span pattern)
{
    struct span rest = span_from(buffer_span(lines), *at);
    ptrdiff_t lf = span_find(rest, '\n');

    if (lf < 0)
        fail(r, "there is no other one", pattern);
    if (!script_matches(pattern, span_first(rest, (size_t)lf)))
        fail(r, "it was", span_first(rest, (size_t)lf));
    *at += (size_t)lf + 1;
}

static void feed(struct run *r, struct span bytes)
{
    if (r->budget >= 0 && bytes.size > (size_t)r->budget)
        bytes = span_first(bytes, (size_t)r->budget);
    if (r->budget >= 0)
        r->budget -= (long)bytes.size;
    r->fed += bytes.size;
    buffer_append_span(&r->input, bytes);
}

static void repeat(struct run *r, char *text)
{
    char *line;
    unsigned long count = strtoul(text, &line, 10);
    struct span bytes = script_unescape(line + 1);

    for (unsigned long i = 0; i < count; i++) {
        feed(r, bytes);
        feed(r, SPAN("\r\n"));
    }
}

static void set(struct run *r, const char *name, uint32_t value)
{
    struct smtp_world *w = &r->world;
    const struct {
        const char *name;
        uint32_t *where;
    } numbers[] = {{"recipients", &w->settings.recipients_max},
                   {"errors", &w->settings.errors_max},
                   {"refusals", &w->settings.refusals_max},
                   {"uid", &w->client.uid}};
    const struct {
        const char *name;
        bool *where;
    } switches[] = {{"hold", &w->hold},
                    {"silent", &w->silent},
                    {"blocked", &w->blocked},
                    {"broken", &w->broken},
                    {"normalize", &w->client.normalize}};

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (strcmp(name, numbers[i].name) == 0)
            *numbers[i].where = value;
    for (size_t i = 0; i < ARRAY_SIZE(switches); i++)
        if (strcmp(name, switches[i].name) == 0)
            *switches[i].where = value;
    if (strcmp(name, "size") == 0)
        w->settings.message_size_max = value;
}

static int word_index(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return (int)i;
    fprintf(stderr, "unknown word %s\n", word);
    exit(2);
}

static void add_rule(struct run *r, const char *text)
{
    static const char *const kinds[] = {"client", "sender", "recipient", "message"};
    static const char *const verdicts[] = {"accept", "unknown", "foreign", "defer", "reject"};
    struct smtp_world_rule *rule = &r->world.rules[r->world.rule_count++];
    char kind[16] = "", verdict[16] = "";

    *rule = (struct smtp_world_rule){0};
    sscanf(text, "%*s %*s accept as %127s", rule->as);
    if (sscanf(text, "%15s %127s %15s %127[^\n]", kind, rule->address, verdict, rule->text) < 3)
        fail(r, "bad rule", span_from_cstr(text));
    rule->kind = (enum smtp_question_kind)word_index(kind, kinds, ARRAY_SIZE(kinds));
    bool expands = strcmp(verdict, "expands") == 0, mailbox = strcmp(verdict, "mailbox") == 0;
    rule->answer = (struct smtp_answer){
        .verdict = expands || mailbox
                       ? SMTP_ACCEPT
                       : (enum smtp_verdict)word_index(verdict, verdicts, ARRAY_SIZE(verdicts)),
        .recipient_flags = expands ? ENVELOPE_RECIPIENT_EXPANDS : 0,
        .text = span_from_cstr(rule->text),
        .address = span_from_cstr(rule->as),
        .is_mailbox = mailbox,
    };
}

static void pass_time(struct run *r, long ms)
{
    r->world.time.monotonic_ms += ms;
    r->world.time.wall_us += ms * 1000;
    smtp_server_expire(r->world.server);
}

static void check_deadline(struct run *r, long ms)
{
    long left = (long)(smtp_server_deadline_ms(r->world.server) - r->world.time.monotonic_ms);
    char text[32];
    snprintf(text, sizeof(text), "%ld", left);
    if (left != ms)
        fail(r, "the deadline is in", span_from_cstr(text));
}

static void expect(struct run *r, char key, struct span text)
{
    struct smtp_world *w = &r->world;

    switch (key) {
    case 'S':
        expect_line(r, text);
        break;
    case 'N':
        if (r->output.size)
            fail(r, "there is more output", buffer_span(&r->output));
        break;
    case 'M':
        expect_next(r, &w->messages, &r->messages_at, text);
        break;
    case 'R':
        expect_next(r, &w->refusals, &r->refusals_at, text);
        break;
    case 'B':
        if (!script_matches(text, buffer_span(&w->body)))
            fail(r, "the body is", buffer_span(&w->body));
        break;
    case 'H':
        if (!script_matches(text, buffer_span(&w->header)))
            fail(r, "the header is", buffer_span(&w->header));
        break;
    case 'O':
        if (!smtp_server_is_over(w->server))
            fail(r, "the session goes on", text);
        break;
    default:
        fail(r, "unknown key", text);
    }
}

/* What happens to the session; false when `key` is an expectation. */
static bool act(struct run *r, char key, char *text)
{
    struct smtp_world *w = &r->world;

    switch (key) {
    case 'C':
        feed(r, script_unescape(text));
        feed(r, SPAN("\r\n"));
        return true;
    case 'c':
        feed(r, script_unescape(text));
        return true;
    case 'L':
        repeat(r, text);
        return true;
    default:
        break;
    }
    pump(r);
    switch (key) {
    case 'A':
        smtp_world_answer_all(w);
        break;
    case 'T':
        pass_time(r, strtol(text, NULL, 10));
        break;
    case 'D':
        check_deadline(r, strtol(text, NULL, 10));
        return true;
    case 'E':
        smtp_server_eof(w->server);
        break;
    case 'Q':
        smtp_server_shutdown(w->server);
        break;
    case 'U':
        if (strcmp(text, "lost") == 0)
            w->upload_open = false;
        smtp_server_resume(w->server, strcmp(text, "lost") == 0 ? -1 : 0);
        break;
    default:
        return false;
    }
    pump(r);
    return true;
}

static void run_line(struct run *r, char *line)
{
    char name[32];
    unsigned value;

    line[strcspn(line, "\n")] = '\0';
    if (*line == '\0' || *line == '#')
        return;
    if (sscanf(line, "set %31s %u", name, &value) == 2) {
        if (r->world.server)
            pump(r);
        set(r, name, value);
        return;
    }
    if (strncmp(line, "on ", 3) == 0) {
        add_rule(r, line + 3);
        return;
    }
    if (line[1] != ':')
        fail(r, "not a line of a script", span_from_cstr(line));
    if (!r->world.server && smtp_world_connect(&r->world) < 0)
        exit(1);
    char *text = line[2] == ' ' ? line + 3 : line + 2;
    if (!act(r, *line, text) && r->budget < 0)
        expect(r, *line, script_unescape(text));
}

static void run_script(struct run *r, char *script, enum smtp_world_order order)
{
    char *rest = script, *line;

    smtp_world_init(&r->world);
    r->world.order = order;
    while (r->budget != 0 && (line = strsep(&rest, "\n"))) {
        r->line++;
        run_line(r, line);
    }
}

static void done(struct run *r)
{
    smtp_world_done(&r->world);
    buffer_done(&r->input);
    buffer_done(&r->output);
}

static size_t play(const char *file, char *script, bool bytewise, enum smtp_world_order order)
{
    struct run r = {.file = file, .bytewise = bytewise, .budget = -1};

    run_script(&r, script, order);
    take_output(&r);
    if (r.output.size)
        fail(&r, "output was left", buffer_span(&r.output));
    if (r.refusals_at != r.world.refusals.size && r.refusals_at)
        fail(&r, "refusals were left", span_from(buffer_span(&r.world.refusals), r.refusals_at));
    size_t fed = r.fed;
    done(&r);
    return fed;
}

/* The client is gone after `budget` bytes, with no answer to what they asked. */
static void cut(const char *file, char *script, size_t budget)
{
    struct run r = {.file = file, .budget = (long)budget};

    run_script(&r, script, SMTP_WORLD_FIRST);
    smtp_server_input(r.world.server, buffer_span(&r.input));
    done(&r);
}

/* strsep() writes into the text, so every run has a copy of its own. */
static void test_file(const char *name)
{
    char *text = script_read(name), *copy;
    size_t fed = 0;

    for (int way = 0; way < 6; way++, free(copy)) {
        copy = strdup(text);
        fed = play(name, copy, way & 1, (enum smtp_world_order)(way / 2));
    }
    for (size_t budget = 1; budget < fed; budget += 1 + fed / 500, free(copy)) {
        copy = strdup(text);
        cut(name, copy, budget);
    }
    free(text);
}

int main(int argc, char **argv)
{
    setenv("TZ", "UTC", 1);
    if (smtp_server_prepare() < 0)
        return 2;
    for (int i = 1; i < argc; i++)
        test_file(argv[i]);
    printf("%d scripts\n", argc - 1);
    return argc < 2;
}
