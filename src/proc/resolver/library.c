/*
 * Settings that differ from libunbound's own, each for a mail server's sake. Names that it would
 * answer by itself are handed back to the DNS where a laboratory may use them.
 */
#include "proc/resolver/library.h"

#include "base/log.h"
#include "conf/anchor.h"
#include <stdio.h>
#include <sys/resource.h>

#define OWN_NAME "start.postbuch.invalid."

/*
 * A question waits on a port of its own: without a free one, others' questions wait for the
 * time-outs of those to dead name servers. So there are as many as questions may well be open,
 * unless the process may not have so many descriptors; it needs some for other things.
 */
enum { PORTS_MAX = 8192, PORTS_LEAST = 128, OTHER_DESCRIPTORS = 256 };

static const struct {
    const char *name, *value;
} options[] = {
    {"outgoing-num-tcp:", "64"},
    {"num-queries-per-thread:", "1024"},
    {"msg-cache-size:", "32m"},
    {"rrset-cache-size:", "64m"},
    {"key-cache-size:", "16m"},
    {"neg-cache-size:", "4m"},
    {"infra-cache-numhosts:", "20000"},
    {"infra-keep-probing:", "yes"},     /* a server that came back is noticed soon */
    {"infra-cache-max-rtt:", "4000"},   /* ms; so a question ends soon after ours gave it up */
    {"cache-max-negative-ttl:", "600"}, /* so is a domain that was mended */
    {"do-not-query-localhost:", "no"},  /* a configured server may be on this machine */
    {"unblock-lan-zones:", "yes"},
    {"insecure-lan-zones:", "yes"},
    {"do-not-query-address:", "0.0.0.0"}, /* which the kernel takes for this machine */
};

static int set_ports(struct ub_ctx *ctx)
{
    struct rlimit descriptors = {.rlim_cur = 1024};
    rlim_t ports = PORTS_LEAST;
    char text[24];

    getrlimit(RLIMIT_NOFILE, &descriptors);
    if (descriptors.rlim_cur > PORTS_LEAST + OTHER_DESCRIPTORS)
        ports = descriptors.rlim_cur - OTHER_DESCRIPTORS;
    snprintf(text, sizeof(text), "%u", (unsigned)(ports < PORTS_MAX ? ports : PORTS_MAX));
    return ub_ctx_set_option(ctx, "outgoing-range:", text);
}

static int set_options(struct ub_ctx *ctx)
{
    int r = set_ports(ctx);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(options); i++) {
        r = ub_ctx_set_option(ctx, options[i].name, options[i].value);
        if (r)
            log_error("libunbound: %s %s: %s", options[i].name, options[i].value, ub_strerror(r));
    }
    return r;
}

/* Forwarding: with servers configured they are asked and no others. */
static int set_servers(struct ub_ctx *ctx, const struct conf_resolver *conf)
{
    char ip[IP_TEXT], text[IP_TEXT + 8];
    int r = 0;

    for (size_t i = 0; r == 0 && i < conf->server_count; i++) {
        ip_format(conf->servers[i].ip, ip);
        snprintf(text, sizeof(text), "%s@%u", ip, conf->servers[i].port);
        r = ub_ctx_set_fwd(ctx, text);
    }
    return r;
}

/* A file without a record would leave libunbound with no anchor at all, and it would validate
 * nothing: refused. */
static int set_anchor(struct ub_ctx *ctx, struct span text)
{
    struct buffer line = BUFFER_LIMITED(8192);
    unsigned count = 0;
    int r = 0;

    while (r == 0 && anchor_next(&text, &line)) {
        count++;
        r = buffer_append_byte(&line, '\0') < 0 ? UB_NOMEM : ub_ctx_add_ta(ctx, line.data);
    }
    buffer_done(&line);
    return r == 0 && count == 0 ? UB_SYNTAX : r;
}

struct ub_ctx *library_open(const struct conf_resolver *conf, struct span anchor,
                            const char **out_why)
{
    struct ub_ctx *ctx = ub_ctx_create();
    const char *why = "no memory";
    int r = ctx ? 0 : UB_NOMEM;

    if (r == 0) {
        why = "the options of libunbound";
        r = set_options(ctx);
    }
    if (r == 0) {
        why = "the `servers` of `resolver`";
        r = set_servers(ctx, conf);
    }
    if (r == 0 && conf->trust_anchor.size) {
        why = "the trust anchor's file holds no DS or DNSKEY record that can be read";
        r = set_anchor(ctx, anchor);
    }
    if (r == 0)
        return ctx;
    log_error("can't resolve names: %s: %s", why, ub_strerror(r));
    ub_ctx_delete(ctx);
    *out_why = why;
    return NULL;
}

static void on_own_name(void *arg, int error, struct ub_result *result)
{
    *(bool *)arg = error == 0 && result->havedata;
    ub_resolve_free(result);
}

/* Our own name comes, and those names of RFC 6761 go that a laboratory uses; what else libunbound
 * answers by itself (localhost, onion) is right. Settings end with the first of these calls. */
static int set_zones(struct ub_ctx *ctx)
{
    static const char *const zones[] = {"test.", "invalid."};
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(zones); i++)
        r = ub_ctx_zone_remove(ctx, zones[i]);
    return r ? r : ub_ctx_data_add(ctx, OWN_NAME " 3600 IN A 192.0.2.1");
}

/* A question about a name of our own needs no network, so the answer proves that the thread runs
 * and the anchors could be read: faults of a trust anchor show only then. The sandbox comes after
 * it, when libunbound has opened all the files it wants. */
const char *library_start(struct ub_ctx *ctx)
{
    bool answered = false;
    int id, r = ub_ctx_async(ctx, 1);

    if (r == 0)
        r = set_zones(ctx);
    if (r == 0)
        r = ub_resolve_async(ctx, OWN_NAME, 1, 1, &answered, on_own_name, &id);
    if (r == 0)
        r = ub_wait(ctx);
    if (r == 0 && !answered)
        r = UB_INITFAIL;
    if (r) {
        log_error("can't resolve names: libunbound doesn't start: %s; is the trust anchor good?",
                  ub_strerror(r));
        return "libunbound can't use what it was given; the log has more";
    }
    return NULL;
}
