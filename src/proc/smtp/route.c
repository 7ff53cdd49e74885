/* The same question as a job's, answered with words. */
#include "proc/smtp/route.h"

#include "proc/smtp/way.h"
#include <stdlib.h>

struct route {
    struct list link;
    struct smtp_proc *proc;
    uint64_t token, epoch;
    struct smtp_way way;
};

/* By hand: this process links no JSON library, and what it writes here are names and few words. */
static void json_string(struct buffer *out, struct span text)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < ' ' || c > '~')
            buffer_printf(out, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            buffer_printf(out, "\\%c", c);
        else
            buffer_append_byte(out, (char)c);
    }
    buffer_append_byte(out, '"');
}

/* An MX's hosts are told by dns_mx_explain(), with those that are left out. */
static void write_target(const struct smtp_way *way, const struct smtp_target *t,
                         struct buffer *text, struct buffer *json)
{
    char ip_text[IP_TEXT];
    struct dns_ip ip;

    memcpy(ip.bytes, t->ip, sizeof(ip.bytes));
    ip_format(ip.bytes, ip_text);
    if (!way->mx)
        buffer_printf(text, SPAN_FMT " [%s]:%u\n", SPAN_ARG(way->hosts[t->host]), ip_text, t->port);
    buffer_append_span(json, SPAN("{\"host\":"));
    json_string(json, way->hosts[t->host]);
    buffer_printf(json, ",\"ip\":\"%s\",\"port\":%u}", ip_text, t->port);
}

static void write_route(const struct smtp_way *way, struct buffer *text, struct buffer *json)
{
    if (way->mx)
        dns_mx_explain(way->mx, text);
    else if (way->failed)
        buffer_printf(text, SPAN_FMT "\n", SPAN_ARG(way->text));
    buffer_append_span(json, SPAN("{\"targets\":["));
    for (size_t i = 0; i < way->target_count; i++) {
        if (i > 0)
            buffer_append_byte(json, ',');
        write_target(way, &way->targets[i], text, json);
    }
    buffer_append_span(json, SPAN("]"));
    if (way->failed) {
        buffer_printf(json, ",\"permanent\":%s,\"status\":\"%s\",\"why\":",
                      way->permanent ? "true" : "false", way->status);
        json_string(json, way->text);
    }
    buffer_append_byte(json, '}');
}

static void route_free(struct route *route)
{
    list_remove(&route->link);
    smtp_way_done(&route->way);
    free(route);
}

/* Its end: the answer, unless there is nobody any more. */
static void finish(struct route *route, struct span text, struct span json)
{
    struct smtp_proc *proc = route->proc;
    struct ipc_message reply = {.type = IPC_ROUTED, .routed = {.text = text, .json = json}};

    if (proc->queue && route->epoch == proc->epoch)
        ipc_reply(proc->queue, route->token, &reply);
    route_free(route);
}

static void on_way(struct smtp_way *way)
{
    /* Each fits IPC_ROUTE_TEXT_MAX; what doesn't is told as nothing rather than cut in half. */
    struct buffer text = BUFFER_LIMITED(60000), json = BUFFER_LIMITED(60000);

    write_route(way, &text, &json);
    finish(CONTAINER_OF(way, struct route, way),
           buffer_error(&text) ? SPAN("") : buffer_span(&text),
           buffer_error(&json) ? SPAN("") : buffer_span(&json));
    buffer_done(&text);
    buffer_done(&json);
}

void smtp_route_begin(struct smtp_proc *proc, const struct ipc_arrival *arrival)
{
    struct route *route = calloc(1, sizeof(*route));

    if (!route) { /* nothing is known of the way then */
        struct ipc_message reply = {.type = IPC_ROUTED};
        ipc_reply(arrival->channel, arrival->token, &reply);
        return;
    }
    route->proc = proc;
    route->token = arrival->token;
    route->epoch = proc->epoch;
    list_append(&proc->routes, &route->link);
    smtp_way_begin(&route->way, proc, arrival->message->route.next_hop, on_way);
}

void smtp_routes_drop(struct smtp_proc *proc)
{
    LIST_EACH(&proc->routes, link)
    {
        finish(CONTAINER_OF(link, struct route, link),
               SPAN("not known: the configuration has just changed, ask again\n"), SPAN(""));
    }
}
