/*
 * Where the server of a configuration is to be found. A user who may not read the configuration
 * uses what an installation has, so that sendmail(1) works for everyone.
 */
#include "cli/server.h"

#include "cli/cli.h"
#include "cli/problem.h"
#include "conf/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void put(char *out, size_t room, struct span text)
{
    snprintf(out, room, "%.*s", SPAN_ARG(text));
}

/* The host's own name when mail is delivered for it, else the first domain that is delivered here:
 * mail to "root" must end in a mailbox. Not the name of the machine as such: mail for it might go
 * out to the DNS and come back, or nowhere. */
static struct span origin_of(const struct conf *c)
{
    for (size_t i = 0; i < c->domain_count; i++)
        if (span_equal_nocase(c->domains[i].name, c->hostname))
            return c->hostname;
    return c->domain_count ? c->domains[0].name : c->hostname;
}

/* Beside the control socket, where the server makes it. */
static void set_submit(struct cli_server *s)
{
    ptrdiff_t slash = span_find_last(span_from_cstr(s->control), '/');

    snprintf(s->submit, sizeof(s->submit), "%.*s/submit", slash > 0 ? (int)slash : 0, s->control);
}

static void set_from(const struct conf *c, struct cli_server *out)
{
    put(out->control, sizeof(out->control), c->control);
    put(out->drop, sizeof(out->drop), c->drop);
    put(out->ledger, sizeof(out->ledger), c->ledger);
    put(out->spool, sizeof(out->spool), c->spool);
    put(out->hostname, sizeof(out->hostname), c->hostname);
    put(out->origin, sizeof(out->origin), origin_of(c));
    out->disk_reserve = c->limits.disk_reserve;
    set_submit(out);
}

static void set_machine_name(struct cli_server *out)
{
    if (gethostname(out->hostname, sizeof(out->hostname) - 1) < 0)
        put(out->hostname, sizeof(out->hostname), SPAN("localhost"));
}

/* As of a file that sets nothing. */
static void set_defaults(struct cli_server *out)
{
    struct conf c = {0};

    conf_set_defaults(&c);
    set_from(&c, out);
    set_machine_name(out);
    put(out->origin, sizeof(out->origin), span_from_cstr(out->hostname));
}

/* The file has errors: 0 when it says where the server is all the same. */
static int glean(const char *command, const char *path, struct cli_server *out)
{
    bool domains_known;
    struct conf c;
    int result = conf_glean(path, &c, &domains_known);

    if (result < 0)
        return result;
    cli_complain(command, "%s has errors, which postbuch check-config tells; going on without them",
                 path);
    set_from(&c, out);
    if (!domains_known)
        out->origin[0] = '\0';
    if (!c.hostname.size)
        set_machine_name(out);
    conf_done(&c);
    return 0;
}

/* Whether an ordinary user is to find the server of an installation without its configuration. Not
 * when a file was named, by $POSTBUCH_CONFIG too: then another server may be meant. */
static bool does_without(const char *config, const char *path)
{
    const char *named = getenv("POSTBUCH_CONFIG");

    return !config && !(named && *named) && strcmp(path, CLI_CONFIG_DEFAULT) == 0 &&
           access(path, R_OK) < 0 && (errno == EACCES || errno == ENOENT);
}

static int find(const char *command, const char *config, bool for_act, struct cli_server *out)
{
    struct conf_problems problems;
    const char *path = cli_config_path(config);
    struct conf c;

    *out = (struct cli_server){0};
    if (!for_act && does_without(config, path)) {
        set_defaults(out);
        return 0;
    }
    conf_problems_init(&problems);
    int result = conf_load(path, &problems, &c);
    if (result == 0) {
        set_from(&c, out);
        conf_done(&c);
    } else if (for_act || result != -EINVAL || glean(command, path, out) < 0) {
        conf_problems_sort(&problems);
        cli_put_errors(stderr, &problems);
        if (problems.error_count)
            cli_complain(command, "%s can't be used; postbuch check-config tells more", path);
        else
            cli_complain(command, "%s can't be used: %s", path, strerror(-result));
    } else {
        result = 0;
    }
    conf_problems_done(&problems);
    return result;
}

int cli_server_find(const char *command, const char *config, struct cli_server *out)
{
    return find(command, config, false, out);
}

int cli_server_find_for_act(const char *command, const char *config, struct cli_server *out)
{
    return find(command, config, true, out);
}
