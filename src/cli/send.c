/*
 * `postbuch send`, and `sendmail` by another name: reads a message, completes it, hands it to the
 * server, and leaves it in the drop folder when there is no server, or none that takes it now.
 */
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "cli/collect.h"
#include "cli/commands.h"
#include "cli/drop.h"
#include "cli/send_options.h"
#include "cli/send_smtp.h"
#include "cli/server.h"
#include "cli/submit.h"
#include "mail/compose.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- composing ---- */

/* "." on a line of its own ends it, as sendmail has it, unless -i. Limited, for it is held whole:
 * the drop folder needs all of it. */
static int read_message(const struct send_wishes *w, struct buffer *out)
{
    struct compose_lines lines = {.dot_ends = !w->dot_is_text};
    char piece[65536];
    size_t size;

    while (!lines.ended && (size = fread(piece, 1, sizeof(piece), stdin)) > 0)
        if (compose_lines_feed(&lines, span_of(piece, size), out) < 0)
            return buffer_error(out);
    return ferror(stdin) ? -EIO : compose_lines_end(&lines, out);
}

/* Without the kernel's random numbers the process id serves: an id must be unlike others, not
 * secret. */
static void make_message_id(const char *hostname, int64_t now_us, char *out, size_t room)
{
    struct id_maker maker;
    struct id id;
    char text[ID_TEXT + 1];
    uint32_t random[2] = {0};

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        random[0] = (uint32_t)getpid();
    id_maker_init(&maker, (uint16_t)random[1], random[0]);
    id = id_make(&maker, now_us);
    id_format(&id, text);
    snprintf(out, room, "%s@%s", text, hostname);
}

static int add_arguments(const struct send_wishes *w, struct span origin, struct composed *c)
{
    int result = 0;

    for (int i = 0; i < w->recipient_count && result == 0; i++)
        result = compose_add_recipients(c, span_from_cstr(w->recipients[i]), origin);
    return result;
}

/* From $NAME or the user's entry, whose first field is the name. */
static struct span full_name_of(const struct send_wishes *w, const struct passwd *user)
{
    const char *given = w->full_name ? w->full_name : getenv("NAME");
    struct span name = span_from_cstr(given ? given : user ? user->pw_gecos : "");
    ptrdiff_t comma = given ? -1 : span_find(name, ',');

    return comma < 0 ? name : span_first(name, (size_t)comma);
}

static int compose(const struct send_wishes *w, const struct cli_server *server, struct span lines,
                   struct composed *c, struct span *out_sender)
{
    const struct passwd *user = getpwuid(getuid());
    struct compose_input in = {.lines = lines, .now_us = clock_wall_us(), .extract = w->extract};
    char message_id[ID_TEXT + 1 + sizeof(server->hostname)], uid[32];

    snprintf(uid, sizeof(uid), "uid%u", (unsigned)getuid());
    make_message_id(server->hostname, in.now_us, message_id, sizeof(message_id));
    in.message_id = span_from_cstr(message_id);
    in.origin = span_from_cstr(server->origin);
    in.full_name = full_name_of(w, user);
    int result = compose_sender(c,
                                span_from_cstr(w->sender ? w->sender
                                               : user    ? user->pw_name
                                                         : uid),
                                in.origin, &in.sender);
    if (result == 0)
        result = add_arguments(w, in.origin, c);
    if (result == 0)
        result = compose_message(c, &in);
    *out_sender = in.sender;
    return result;
}

/* ---- sending ---- */

static int complain_too_large(void)
{
    cli_complain("send", "more than %d MiB; nothing was sent", DROP_SIZE_MAX >> 20);
    return CLI_BAD_NEWS; /* as large the next time */
}

/* Success, as sendmail(1) has it: the message is safe on the disk, and the server collects it. That
 * this can't be said doesn't make it untrue. */
static int keep_in_drop(const struct send_wishes *w, const struct cli_server *server,
                        const struct submission *s, const char *why)
{
    int result = drop_write(server->drop, s);

    if (result == -EMSGSIZE)
        return complain_too_large();
    if (result < 0) {
        cli_complain("send", "%s, and %s can't keep the message: %s", why, server->drop,
                     strerror(-result));
        return CLI_UNREACHED;
    }
    if (w->verbose) {
        printf("%s; the message is kept until the server takes it\n", why);
        cli_finish_output("send", CLI_OK);
    }
    return CLI_OK;
}

/* Below its reserve a disk is for the mail that the server has already, and the server takes no
 * other: what waits beside it must not eat that up. */
static bool has_room(const struct cli_server *server, uint64_t *out_free_bytes)
{
    struct statvfs fs;

    if (statvfs(server->drop, &fs) < 0)
        return true; /* which the attempt tells better */
    *out_free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return *out_free_bytes >= server->disk_reserve;
}

/* Programs that send don't try again, so what the server only defers is kept for them. Not when it
 * refuses one of the recipients: then nobody gets it, and its sender knows why. */
static int deliver_deferred(const struct send_wishes *w, const struct cli_server *server,
                            const struct submission *s, const struct submit_report *report)
{
    uint64_t free_bytes;

    if (report->refused_count)
        return CLI_BAD_NEWS;
    if (!has_room(server, &free_bytes)) {
        cli_put_lines(stderr, "", buffer_span(&report->text));
        cli_complain("send",
                     "the disk of %s has no room to keep it: %" PRIu64 "M are free, the reserve is "
                     "%" PRIu64 "M (limits: disk_reserve)",
                     server->drop, free_bytes >> 20, server->disk_reserve >> 20);
        return CLI_UNREACHED;
    }
    return keep_in_drop(w, server, s, "the server doesn't take it now");
}

/* A dialogue that broke off may have succeeded on the other side: kept all the same, since twice is
 * better than never. */
static int deliver(const struct send_wishes *w, const struct cli_server *server,
                   const struct submission *s)
{
    struct submit_report report = {0};
    int fd = submit_connect(server->submit), code = CLI_BAD_NEWS;
    char why[128];

    snprintf(why, sizeof(why), "the server can't be reached (%s)", strerror(fd < 0 ? -fd : 0));
    if (fd < 0)
        return keep_in_drop(w, server, s, why);
    enum submit_result result = submit_send(fd, s, false, &report);
    close(fd);
    if (result == SUBMIT_REFUSED || report.refused_count)
        cli_put_lines(stderr, "", buffer_span(&report.text));
    else if (w->verbose)
        cli_put_lines(stdout, "", buffer_span(&report.text));
    switch (result) {
    case SUBMIT_ACCEPTED:
        cli_finish_output("send", CLI_OK); /* that it can't be told doesn't make it a failure */
        code = CLI_OK;
        break;
    case SUBMIT_UNREACHED:
        code = keep_in_drop(w, server, s, "the server broke off the dialogue");
        break;
    case SUBMIT_DEFERRED:
        code = deliver_deferred(w, server, s, &report);
        break;
    case SUBMIT_REFUSED:
        break;
    }
    buffer_done(&report.text);
    return code;
}

static int complain_composed(const struct composed *c, int result)
{
    if (result == -EMSGSIZE)
        return complain_too_large();
    if (result == -EINVAL)
        cli_complain("send", "\"%.*s\" is not an address; nothing was sent",
                     SPAN_ARG(buffer_span(&c->bad)));
    else if (result == -E2BIG)
        cli_complain("send", "more than %d recipients; nothing was sent", COMPOSE_RECIPIENTS_MAX);
    else
        cli_complain("send", "nothing was sent: %s", strerror(-result));
    return result == -EINVAL || result == -E2BIG ? CLI_USAGE : CLI_UNREACHED;
}

static int send_mail(const struct send_wishes *w, const struct cli_server *server)
{
    struct buffer lines = BUFFER_LIMITED(DROP_SIZE_MAX);
    struct composed c;
    struct submission s = {.notify = span_from_cstr(w->notify),
                           .ret = span_from_cstr(w->ret),
                           .envid = span_from_cstr(w->envid)};
    int code;

    compose_init(&c);
    int result = read_message(w, &lines);
    if (result == 0)
        result = compose(w, server, buffer_span(&lines), &c, &s.sender);
    buffer_done(&lines);
    if (result < 0) {
        code = complain_composed(&c, result);
    } else if (c.recipient_count == 0) {
        code = cli_wrong_usage(&send_usage, "no recipients; nothing was sent");
    } else {
        s.recipients = c.recipients;
        s.recipient_count = c.recipient_count;
        s.message = buffer_span(&c.message);
        s.eight_bit = c.eight_bit;
        s.smtputf8 = c.smtputf8;
        code = deliver(w, server, &s);
    }
    compose_done(&c);
    return code;
}

/* sendmail is several programs in one. */
static int run_other(int (*command)(int argc, char **argv), char *program, const char *config)
{
    char *argv[] = {program, "--config", (char *)config, NULL};

    if (!config)
        argv[1] = NULL;
    return command(config ? 3 : 1, argv);
}

/* The server that has its drop folder collected says where it is. */
static int collect(const struct send_wishes *w)
{
    struct cli_server server;

    if (w->submit && w->hostname) {
        log_open("collect", LOG_LEVEL_INFO);
        return collect_folder(w->collect, w->submit, w->hostname);
    }
    if (cli_server_find("send", w->config, &server) < 0)
        return CLI_UNREACHED;
    log_open("collect", LOG_LEVEL_INFO);
    return collect_folder(w->collect, server.submit, server.hostname);
}

int cli_send(int argc, char **argv)
{
    struct cli_server server;
    struct send_wishes w;
    int code;

    if (send_parse_wishes(argc, argv, &w, &code) < 0)
        return code;
    if (w.run_queue) /* the server retries by itself */
        return CLI_OK;
    if (w.mode == 'p')
        return run_other(cli_queue, "mailq", w.config);
    if (w.mode == 'i')
        return run_other(cli_reload, "newaliases", w.config);
    if (w.collect)
        return collect(&w);
    if (cli_server_find("send", w.config, &server) < 0)
        return CLI_UNREACHED;
    if (w.mode == 's')
        return send_speak_smtp(server.submit);
    if (!*server.origin) { /* also of the sender: without it nobody could answer */
        cli_complain("send",
                     "its domains can't be read, so what is meant by an address without one "
                     "isn't known; nothing was sent");
        return CLI_UNREACHED;
    }
    return send_mail(&w, &server);
}
