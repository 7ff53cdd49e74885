/*
 * Starts the real resolver, in its sandbox, as the supervisor does, and asks it as smtp does:
 *
 *   ask_resolver RESOLVER SERVER[,SERVER…]|- ANCHOR|-
 *
 * One question a line on standard input, answered in the same order: "TYPE NAME" (the number of a
 * type), or "mx DOMAIN", where all that dns/mx.h asks is asked and its explanation is printed, then
 * an empty line.
 */
#include "base/log.h"
#include "conf/part.h"
#include "dns/mx.h"
#include "ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct asker {
    struct io_loop *loop;
    struct ipc_channel *supervisor, *smtp;
    bool ready, lost;
};

struct pending {
    struct ipc_call call;
    struct dns_mx *mx;
    unsigned number;
    unsigned *open;
};

static void on_ready(void *owner, const struct ipc_arrival *arrival)
{
    struct asker *a = owner;
    a->ready = true;
}

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
    struct asker *a = owner;
    a->lost = true;
}

static const struct ipc_handler handlers[] = {{IPC_READY, on_ready}};
static const struct ipc_role supervisor_role = {
    .peer_name = "resolver", .handlers = handlers, .handler_count = 1, .lost = on_lost};
static const struct ipc_role smtp_role = {.peer_name = "resolver", .lost = on_lost};

static void turn(struct asker *a)
{
    if (a->lost)
        log_fatal("the resolver is gone");
    io_loop_turn(a->loop);
    usleep(1000);
}

static void make_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        log_fatal("socketpair: %m");
}

static pid_t spawn(const char *path, int fd)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (fd == 3)
            fcntl(fd, F_SETFD, 0);
        else
            dup2(fd, 3);
        execl(path, path, NULL);
        log_fatal("%s: %m", path);
    }
    close(fd);
    return pid;
}

static size_t read_servers(char *text, struct conf_address *out)
{
    size_t count = 0;

    for (char *one = strtok(text, ","); one && strcmp(one, "-") != 0; one = strtok(NULL, ","))
        if (conf_server_parse(span_from_cstr(one), &out[count++]) < 0)
            log_fatal("bad server %s", one);
    return count;
}

static void configure(struct asker *a, char *servers, const char *anchor)
{
    struct conf_address addresses[CONF_SERVERS_MAX];
    struct conf_resolver conf = {.generation = 1, .servers = addresses};
    struct buffer part = BUFFER_INIT;
    struct ipc_message m = {.type = IPC_CONFIG,
                            .config = {.uid = geteuid() ? UINT32_MAX : 65534,
                                       .gid = geteuid() ? UINT32_MAX : 65534,
                                       .sandbox_kills = true}};

    conf.server_count = read_servers(servers, addresses);
    if (strcmp(anchor, "-") != 0)
        conf.trust_anchor = span_from_cstr(anchor);
    codec_encode(&conf_resolver_codec, &conf, &part);
    m.config.part = buffer_span(&part);
    ipc_notify(a->supervisor, &m);
    int fd = conf.trust_anchor.size ? open(anchor, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        m = (struct ipc_message){.type = IPC_FILE, .file = {.name = conf.trust_anchor}};
        ipc_notify_fd(a->supervisor, &m, fd);
        close(fd);
    }
    m = (struct ipc_message){.type = IPC_ACTIVATE};
    ipc_notify(a->supervisor, &m);
    buffer_done(&part);
}

static void connect_smtp(struct asker *a)
{
    struct ipc_message m = {.type = IPC_PEER, .peer = {.kind = IPC_PEER_SMTP}};
    int fds[2];

    make_pair(fds);
    ipc_notify_fd(a->supervisor, &m, fds[0]);
    close(fds[0]);
    if (ipc_channel_new(a->loop, fds[1], &smtp_role, a, &a->smtp) < 0)
        log_fatal("no channel");
}

static void print_answer(const struct ipc_resolved *r)
{
    static const char *const security[] = {"insecure", "secure", "bogus"};

    printf("error %d rcode %u %s why " SPAN_FMT " data", r->error, r->rcode, security[r->security],
           SPAN_ARG(r->why));
    for (size_t i = 0; i < r->rdata_count; i++) {
        putchar(' ');
        for (size_t k = 0; k < r->rdata[i].bytes.size; k++)
            printf("%02x", (unsigned char)r->rdata[i].bytes.data[k]);
    }
    putchar('\n');
}

static void feed(struct pending *p, const struct ipc_resolved *r)
{
    struct span *rdata = calloc(r->rdata_count + 1, sizeof(*rdata));
    const struct dns_answer answer = {.error = r->error,
                                      .rcode = r->rcode,
                                      .security = r->security,
                                      .rdata = rdata,
                                      .rdata_count = r->rdata_count,
                                      .why = r->why};

    for (size_t i = 0; i < r->rdata_count; i++)
        rdata[i] = r->rdata[i].bytes;
    dns_mx_answer(p->mx, p->number, &answer);
    free(rdata);
}

static void on_reply(struct ipc_call *call, const struct ipc_message *reply)
{
    struct pending *p = (struct pending *)call;

    if (!reply)
        log_fatal("no reply");
    if (p->mx)
        feed(p, &reply->resolved);
    else
        print_answer(&reply->resolved);
    --*p->open;
    free(p);
}

static void ask(struct asker *a, struct span name, uint16_t type, struct dns_mx *mx,
                unsigned number, unsigned *open)
{
    struct pending *p = calloc(1, sizeof(*p));
    struct ipc_message m = {.type = IPC_RESOLVE, .resolve = {.name = name, .type = type}};

    *p = (struct pending){.call = {.fn = on_reply}, .mx = mx, .number = number, .open = open};
    if (ipc_call(a->smtp, &p->call, &m) < 0)
        log_fatal("can't ask");
    ++*open;
}

static void route(struct asker *a, struct span domain)
{
    const struct span own = SPAN("us.test");
    const struct dns_mx_rules rules = {.own_names = &own, .own_name_count = 1, .seed = 1};
    struct buffer out = BUFFER_INIT;
    struct dns_question q;
    struct dns_mx *mx;
    unsigned open = 0;

    if (dns_mx_new(domain, &rules, &mx) < 0)
        log_fatal("no domain");
    do {
        while (dns_mx_question(mx, &q))
            ask(a, q.name, q.type, mx, q.number, &open);
        turn(a);
    } while (open || dns_mx_verdict(mx) == DNS_PENDING);
    dns_mx_explain(mx, &out);
    printf(SPAN_FMT "\n", SPAN_ARG(buffer_span(&out)));
    buffer_done(&out);
    dns_mx_free(mx);
}

static void run_line(struct asker *a, char *line)
{
    char *name = strchr(line, ' ');
    unsigned open = 0;

    line[strcspn(line, "\n")] = '\0';
    if (!name)
        log_fatal("bad question");
    *name++ = '\0';
    if (strcmp(line, "mx") == 0) {
        route(a, span_from_cstr(name));
    } else {
        ask(a, span_from_cstr(name), (uint16_t)strtoul(line, NULL, 10), NULL, 0, &open);
        while (open)
            turn(a);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct asker a = {0};
    char line[2048];
    int fds[2];

    log_open("ask", LOG_LEVEL_INFO);
    signal(SIGPIPE, SIG_IGN);
    if (argc != 4)
        log_fatal("usage: ask_resolver RESOLVER SERVERS|- ANCHOR|-");
    make_pair(fds);
    pid_t pid = spawn(argv[1], fds[0]);
    if (io_loop_new(&a.loop) < 0 ||
        ipc_channel_new(a.loop, fds[1], &supervisor_role, &a, &a.supervisor) < 0)
        log_fatal("no channel");
    configure(&a, argv[2], argv[3]);
    while (!a.ready)
        turn(&a);
    connect_smtp(&a);
    while (fgets(line, sizeof(line), stdin))
        run_line(&a, line);
    ipc_channel_free(a.smtp);
    ipc_channel_free(a.supervisor);
    waitpid(pid, NULL, 0);
    io_loop_free(a.loop);
    return 0;
}
