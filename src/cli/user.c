/*
 * Edits lines of a users file in place of its owner: what isn't the address's line stays byte for
 * byte, comments included. It is read under its lock, so two administrators don't undo each other.
 */
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/control.h"
#include "cli/password.h"
#include "cli/problem.h"
#include "cli/reload.h"
#include "cli/replace.h"
#include "conf/conf.h"
#include "conf/file.h"
#include "people/people.h"
#include "people/users_edit.h"
#include <errno.h>

enum { OPTION_NO_LOGIN = 1, FILE_MAX = PEOPLE_FILE_MAX };

static const struct cli_option options[] = {
    {"no-login", 0, NULL, "add: receives mail, has no password", OPTION_NO_LOGIN},
};

static const struct cli_usage usage = {
    .name = "user",
    .arguments = "list | add ADDRESS | password ADDRESS | remove ADDRESS",
    .help = "Shows or changes who receives mail, in the users file of the address's domain. A\n"
            "password is asked for on the terminal, or read as a line from standard input. Other\n"
            "lines of the file stay as they are. A running server is told at once.\n"
            "A removed user's mailbox stays where it is. Exits 1 when nothing was changed, or the\n"
            "server doesn't know of it yet.\n",
    .json = true,
    .options = options,
    .option_count = ARRAY_SIZE(options),
};

struct session {
    struct cli_parser parser;
    bool no_login;
    const char *path; /* of the configuration */
    struct conf conf;
    struct address address;
    json_t *list; /* list --json */
};

/* ---- what all acts need ---- */

/* Warnings are check-config's to tell: here they would stand between a person and his password. */
static int load_conf(struct session *s)
{
    static struct conf_problems problems;

    s->path = cli_config_path(s->parser.config);
    conf_problems_init(&problems);
    int r = conf_load(s->path, &problems, &s->conf);
    if (r < 0) {
        conf_problems_sort(&problems);
        cli_put_errors(stderr, &problems);
    }
    conf_problems_done(&problems);
    return r;
}

static int read_address(struct session *s, const char *text)
{
    enum address_result r = address_parse(span_from_cstr(text), ADDRESS_ALLOW_UTF8, &s->address);

    if (r == ADDRESS_OK)
        return 0;
    cli_complain("user", "%s: %s", text, address_result_text(r));
    return -EINVAL;
}

/* The users file of the address's domain. */
static int find_file(const struct session *s, char out[static CONF_PATH_MAX])
{
    struct span domain = address_domain(&s->address);

    for (size_t i = 0; i < s->conf.domain_count; i++) {
        const struct conf_domain *d = &s->conf.domains[i];
        if (!span_equal(d->name, domain))
            continue;
        if (d->users.size)
            return conf_path_text(d->users, out);
        cli_complain("user", SPAN_FMT " has no `users:` file in %s", SPAN_ARG(domain), s->path);
        return -ENOENT;
    }
    cli_complain("user", SPAN_FMT " is not in `domains:` of %s", SPAN_ARG(domain), s->path);
    return -ENOENT;
}

static int read_file(struct span path, struct buffer *out)
{
    static struct conf_problems problems;

    conf_problems_init(&problems);
    int r = conf_file_read(path, &problems, out);
    if (r < 0 && problems.count)
        cli_put_problem(stderr, &problems.items[0]);
    conf_problems_done(&problems);
    return r;
}

/* ---- list ---- */

static void put_user(void *arg, const struct users_line *line)
{
    struct session *s = arg;
    bool login = !span_equal(line->verifiers, SPAN("*"));

    if (s->parser.json) {
        json_array_append_new(s->list,
                              json_pack("{s:o, s:b, s:o}", "address",
                                        cli_json_text(address_text(&line->address)), "login", login,
                                        "senders", cli_json_text(line->senders)));
        return;
    }
    cli_put(stdout, address_text(&line->address));
    fputs(login ? "" : " (no login)", stdout);
    if (line->senders.size) {
        fputs(" also as ", stdout);
        cli_put(stdout, line->senders);
    }
    putchar('\n');
}

/* Domains may share a users file: it is listed once. */
static bool listed_before(const struct conf *c, size_t domain)
{
    for (size_t i = 0; i < domain; i++)
        if (span_equal(c->domains[i].users, c->domains[domain].users))
            return true;
    return false;
}

static int list_users(struct session *s)
{
    s->list = json_array();
    for (size_t i = 0; i < s->conf.domain_count; i++) {
        struct buffer text = BUFFER_LIMITED(FILE_MAX);
        if (s->conf.domains[i].users.size == 0 || listed_before(&s->conf, i))
            continue;
        int r = read_file(s->conf.domains[i].users, &text);
        if (r == 0)
            users_each(buffer_span(&text), put_user, s);
        buffer_done(&text);
        if (r < 0) {
            json_decref(s->list);
            return CLI_BAD_NEWS;
        }
    }
    if (s->parser.json) {
        cli_json_print(json_incref(s->list), 0);
        putchar('\n');
    }
    json_decref(s->list);
    return cli_finish_output("user", CLI_OK);
}

/* ---- changes ---- */

/* "*" matches no password there is (crypt(5)): mail comes, nobody logs in. */
static int make_verifier(struct session *s, char out[static CLI_VERIFIER_SIZE])
{
    if (!s->no_login)
        return cli_password_verifier("user", out);
    memcpy(out, "*", 2);
    return 0;
}

static int edit_add(const struct session *s, struct span text, struct span verifier,
                    struct buffer *out)
{
    return users_edit_add(text, &s->address, verifier, SPAN(""), out);
}

static int edit_password(const struct session *s, struct span text, struct span verifier,
                         struct buffer *out)
{
    return users_edit_verifiers(text, &s->address, verifier, out);
}

static int edit_remove(const struct session *s, struct span text, struct span verifier,
                       struct buffer *out)
{
    return users_edit_remove(text, &s->address, out);
}

struct act {
    const char *name;
    bool needs_verifier;
    int (*edit)(const struct session *s, struct span text, struct span verifier,
                struct buffer *out);
};

static const struct act acts[] = {
    {"add", true, edit_add},
    {"password", true, edit_password},
    {"remove", false, edit_remove},
};

static void warn_changed(const char *path, bool was_empty, int unsynced)
{
    if (unsynced)
        cli_complain("user", "warning: %s is changed, but may be as before after a power cut: %s",
                     path, strerror(-unsynced));
    if (was_empty) /* people/build.c */
        cli_complain("user",
                     "warning: %s was empty, as after a power cut; from now on who isn't in it "
                     "is unknown: put back who was",
                     path);
}

/* The file is locked from reading to renaming, so that two changes at once are both kept. */
static int change_file(struct session *s, const struct act *act, const char *path,
                       const char *verifier)
{
    struct buffer text = BUFFER_LIMITED(FILE_MAX), changed = BUFFER_LIMITED(FILE_MAX);
    struct cli_replace replace;
    int r = cli_replace_begin(&replace, path);

    if (r == 0)
        r = read_file(span_from_cstr(path), &text);
    else
        cli_complain("user", "%s: %s", path, strerror(-r));
    if (r == 0) {
        r = act->edit(s, buffer_span(&text), span_from_cstr(verifier), &changed);
        if (r == 0)
            r = cli_replace_write(&replace, buffer_span(&changed));
        if (r < 0)
            cli_complain("user", "%s: %s", path,
                         r == -EEXIST   ? "the address is there already"
                         : r == -ENOENT ? "the address isn't there"
                         : r == -EINVAL ? "the address can't be written in a users file"
                                        : strerror(-r));
        else
            warn_changed(path, text.size == 0, replace.unsynced);
    }
    cli_replace_end(&replace);
    buffer_done(&text);
    buffer_done(&changed);
    return r;
}

/* CLI_OK: it has read the file, or doesn't run. A process that is slow to take the new table is no
 * failure. */
static int ask_server(const char *path)
{
    struct cli_control *control;
    bool partly;
    int r = cli_control_try("user", path, &control);

    if (r == -ENOENT || r == -ECONNREFUSED) {
        fputs("The server isn't running; it will read the file when it starts.\n", stderr);
        return CLI_OK;
    }
    if (r < 0)
        return cli_control_complain("user", path, r);
    int code = cli_reload_ask("user", control, &partly);
    cli_control_close(control);
    if (code == CLI_OK && partly)
        fputs("warning: the file was changed, but not all processes know it yet; postbuch reload "
              "tells them again\n",
              stderr);
    return code;
}

/* Whatever became of that, the file is changed: never CLI_UNREACHED, since whoever tried again
 * would find the address there. */
static int tell_server(const struct session *s, const char *path)
{
    char control[CONF_PATH_MAX];
    int r = conf_path_text(s->conf.control, control);

    if (r == 0 && ask_server(control) == CLI_OK)
        return CLI_OK;
    cli_complain("user",
                 "%s is changed, but the server doesn't know it yet: postbuch reload tells it",
                 path);
    return CLI_BAD_NEWS;
}

/* The password is asked for before the file is locked: a person may take minutes, and others who
 * change the file would wait. */
static int change(struct session *s, const struct act *act)
{
    char verifier[CLI_VERIFIER_SIZE] = "", path[CONF_PATH_MAX];

    if (find_file(s, path) < 0)
        return CLI_BAD_NEWS;
    if (act->needs_verifier && make_verifier(s, verifier) < 0)
        return CLI_BAD_NEWS;
    if (change_file(s, act, path, verifier) < 0)
        return CLI_BAD_NEWS;
    return tell_server(s, path);
}

static int run(struct session *s, int count, char **words)
{
    if (strcmp(words[0], "list") == 0)
        return count == 1 ? list_users(s) : cli_wrong_usage(&usage, "list takes no arguments");
    for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
        if (strcmp(words[0], acts[i].name) != 0)
            continue;
        if (count != 2)
            return cli_wrong_usage(&usage, "%s needs one address", words[0]);
        return read_address(s, words[1]) < 0 ? CLI_USAGE : change(s, &acts[i]);
    }
    return cli_wrong_usage(&usage, "there is no %s", words[0]);
}

int cli_user(int argc, char **argv)
{
    struct session s = {0};
    int key;

    cli_parse_init(&s.parser, &usage, argc, argv);
    while ((key = cli_parse_next(&s.parser)) > 0)
        s.no_login = true;
    if (key < 0)
        return s.parser.exit_code;
    if (argc - s.parser.first < 1)
        return cli_wrong_usage(&usage, "it needs to be told what to do");
    if (load_conf(&s) < 0)
        return CLI_UNREACHED;
    int code = run(&s, argc - s.parser.first, argv + s.parser.first);
    conf_done(&s.conf);
    return code;
}
