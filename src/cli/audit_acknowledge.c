#include "cli/audit_acknowledge.h"

#include "base/grow.h"
#include "cli/catchup.h"
#include "cli/cli.h"
#include "cli/control.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- what is meant ---- */

static int compare(const void *left, const void *right)
{
    const struct acknowledge_word *a = left, *b = right;
    return id_compare(&a->id, &b->id);
}

static int add_word(struct audit_acknowledge *a, struct span word)
{
    struct id id;

    if (id_parse(word, &id) < 0) {
        cli_complain("audit", "\"%.*s\" is no queue id, and no finding's", SPAN_ARG(word));
        return CLI_USAGE;
    }
    struct acknowledge_word *words =
        grow_by_one(a->words, a->word_count, &a->word_room, sizeof(*words), 16);
    if (!words) {
        a->error = -ENOMEM;
        return CLI_OK;
    }
    a->words = words;
    a->words[a->word_count++] = (struct acknowledge_word){.id = id};
    return CLI_OK;
}

static int take_lines(struct audit_acknowledge *a)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int code = CLI_OK;

    while (code == CLI_OK && (size = getline(&line, &room, stdin)) >= 0) {
        struct span rest = span_of(line, (size_t)size), word;
        if (span_next_line(&rest, &word) && (word = span_trim(word)).size)
            code = add_word(a, word);
    }
    free(line);
    return code;
}

int audit_acknowledge_take(struct audit_acknowledge *a, char **words, size_t count)
{
    int code = CLI_OK;

    for (size_t i = 0; code == CLI_OK && i < count; i++) {
        if (strcmp(words[i], "all") == 0)
            a->all = true;
        else if (strcmp(words[i], "-") == 0)
            code = take_lines(a);
        else
            code = add_word(a, span_from_cstr(words[i]));
    }
    if (a->word_count)
        qsort(a->words, a->word_count, sizeof(*a->words), compare);
    return code;
}

/* All words of it: one may be given twice. */
static bool is_named(struct audit_acknowledge *a, const struct id *id)
{
    struct acknowledge_word wanted = {.id = *id}, *end = a->words + a->word_count;
    struct acknowledge_word *w =
        a->word_count ? bsearch(&wanted, a->words, a->word_count, sizeof(wanted), compare) : NULL;

    if (!w)
        return false;
    while (w > a->words && id_equal(&w[-1].id, id))
        w--;
    for (; w < end && id_equal(&w->id, id); w++)
        w->fits = true;
    return true;
}

static bool is_meant(struct audit_acknowledge *a, const struct audit_finding *f)
{
    bool by_message = !id_is_zero(&f->id) && is_named(a, &f->id);
    bool by_token = !id_is_zero(&f->token) && is_named(a, &f->token);

    return a->all || by_message || by_token;
}

static void refuse(struct audit_acknowledge *a, const struct audit_finding *f)
{
    char id[ID_TEXT + 1];

    a->others++;
    if (a->all)
        return;
    id_format(&f->id, id);
    cli_complain("audit", "%s can't be acknowledged: %s: %s", id, audit_kind_name(f->kind),
                 f->text);
}

bool audit_acknowledge_found(struct audit_acknowledge *a, const struct audit_finding *f)
{
    if (f->kind == AUDIT_ALARM || !is_meant(a, f))
        return false;
    if (id_is_zero(&f->token)) {
        refuse(a, f);
        return false;
    }
    struct ipc_acknowledge_row *rows =
        grow_by_one(a->rows, a->row_count, &a->row_room, sizeof(*rows), 64);
    if (!rows) {
        a->error = -ENOMEM;
        return false;
    }
    a->rows = rows;
    a->rows[a->row_count++] = (struct ipc_acknowledge_row){.message = f->id,
                                                           .index = f->recipient_index,
                                                           .token = f->token,
                                                           .lost = f->kind == AUDIT_NOT_IN_QUEUE};
    return true;
}

/* ---- booking ---- */

static void on_done(void *arg, const struct ipc_message *reply)
{
    *(struct ipc_acknowledge_done *)arg = reply->acknowledge_done;
}

/* A spool that is full of work takes no more for a moment. */
static int book(struct audit_acknowledge *a, struct cli_control *control)
{
    enum { PAUSE_US = 20000, PAUSES_MAX = 3000 };
    struct ipc_acknowledge_done done = {.error = 0};
    unsigned pauses = 0;

    for (size_t i = 0; i < a->row_count; i += done.taken) {
        size_t left = a->row_count - i;
        const struct ipc_message ask = {.type = IPC_ACKNOWLEDGE,
                                        .acknowledge = {.reason = span_from_cstr(a->reason),
                                                        .rows = a->rows + i,
                                                        .row_count = left < IPC_ACKNOWLEDGE_ROWS
                                                                         ? left
                                                                         : IPC_ACKNOWLEDGE_ROWS}};
        int code = cli_control_ask(control, &ask, on_done, &done);
        if (code != CLI_OK)
            return code;
        if (!done.error || done.error == -EAGAIN) {
            a->left_alone += done.left_alone;
            a->booked += done.taken - done.left_alone;
        }
        pauses = done.taken ? 0 : pauses + 1;
        if (done.error == -EAGAIN && pauses < PAUSES_MAX) {
            usleep(PAUSE_US);
        } else if (done.error || !done.taken) {
            cli_complain("audit", "not all of it could be booked: %s",
                         strerror(done.error ? -done.error : EPROTO));
            return CLI_BAD_NEWS;
        }
    }
    return CLI_OK;
}

/* Who names each finding or message knows what he means; who says "all" is told how much it is. */
static bool says_yes(const struct audit_acknowledge *a)
{
    return !a->all || a->yes ||
           cli_says_yes("Acknowledge %zu finding%s", a->row_count, a->row_count == 1 ? "" : "s");
}

/* CLI_BAD_NEWS when a word fits nothing, or only what can't be acknowledged (that was told). */
static int tell_unfit(const struct audit_acknowledge *a)
{
    char id[ID_TEXT + 1];
    int code = a->others ? CLI_BAD_NEWS : CLI_OK;

    for (size_t i = 0; !a->all && i < a->word_count; i++) {
        if (a->words[i].fits)
            continue;
        id_format(&a->words[i].id, id);
        cli_complain("audit", "%s: nothing is off there, or it was acknowledged before", id);
        code = CLI_BAD_NEWS;
    }
    if (a->all && a->others)
        cli_complain("audit", "%llu more can't be acknowledged: postbuch audit names them",
                     (unsigned long long)a->others);
    return code;
}

int audit_acknowledge_book(struct audit_acknowledge *a, const char *path)
{
    enum { CATCH_UP_MS = 10000 };
    struct cli_control *control;
    int unfit = tell_unfit(a);

    if (a->error) {
        cli_complain("audit", "nothing was booked: %s", strerror(-a->error));
        return CLI_BAD_NEWS;
    }
    if (a->row_count == 0)
        return unfit;
    if (!says_yes(a))
        return CLI_BAD_NEWS;
    int code = cli_control_open("audit", path, &control);
    if (code != CLI_OK)
        return code;
    code = book(a, control);
    bool behind = code == CLI_OK && cli_wait_for_book(control, CATCH_UP_MS) < 0;
    cli_control_close(control);
    if (code != CLI_OK)
        return code;
    if (a->left_alone)
        cli_complain("audit", "%llu said to be lost are in the queue, and were left alone",
                     (unsigned long long)a->left_alone);
    if (behind)
        cli_complain("audit", "the book is behind the log: until it has caught up, they are told");
    return a->left_alone ? CLI_BAD_NEWS : unfit;
}

void audit_acknowledge_print(const struct audit_acknowledge *a)
{
    printf("%llu finding%s acknowledged.\n", (unsigned long long)a->booked,
           a->booked == 1 ? "" : "s");
}

void audit_acknowledge_done(struct audit_acknowledge *a)
{
    free(a->words);
    free(a->rows);
    *a = (struct audit_acknowledge){0};
}
