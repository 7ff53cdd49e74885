#include "cli/queue_damage.h"

#include "cli/cli.h"

struct damage_view {
    bool json, hint;
    bool any;
};

static void print_place(const struct ipc_queue_damaged *d)
{
    char id[ID_TEXT + 1];

    id_format(&d->id, id);
    if (!id_is_zero(&d->id))
        printf("%s  ", id);
    printf("log-%016llx, offset %llu: ", (unsigned long long)d->segment,
           (unsigned long long)d->offset);
    cli_put(stdout, d->text);
    putchar('\n');
}

static void print_text(const struct ipc_queue_damage *d)
{
    for (size_t i = 0; i < d->row_count; i++)
        print_place(&d->rows[i]);
    if (d->row_count < d->count)
        printf("(the last %zu of %llu)\n", d->row_count, (unsigned long long)d->count);
    if (d->set_aside)
        printf("%llu messages are set aside: they wait, but are not attempted.\n",
               (unsigned long long)d->set_aside);
    if (d->count + d->set_aside == 0)
        puts("Nothing was found damaged since the start.");
}

static void print_json(const struct ipc_queue_damage *d)
{
    json_t *rows = json_array();
    char id[ID_TEXT + 1];

    for (size_t i = 0; i < d->row_count; i++) {
        id_format(&d->rows[i].id, id);
        json_array_append_new(
            rows, json_pack("{s:o, s:I, s:I, s:o}", "id",
                            id_is_zero(&d->rows[i].id) ? json_null() : json_string(id), "segment",
                            (json_int_t)d->rows[i].segment, "offset", (json_int_t)d->rows[i].offset,
                            "text", cli_json_text(d->rows[i].text)));
    }
    cli_json_print(json_pack("{s:I, s:I, s:o}", "count", (json_int_t)d->count, "set_aside",
                             (json_int_t)d->set_aside, "damage", rows),
                   2);
    putchar('\n');
}

/* Of a message that was set aside before the server's start there is no place that it found. */
static void print_hint(const struct ipc_queue_damage *d)
{
    if (d->count)
        printf("\nThe spool found %llu places damaged since the start: postbuch queue damage\n",
               (unsigned long long)d->count);
    else if (d->set_aside)
        printf("\nMessages damaged and set aside: %llu (postbuch audit names them)\n",
               (unsigned long long)d->set_aside);
}

static void on_damage(void *arg, const struct ipc_message *reply)
{
    struct damage_view *view = arg;
    const struct ipc_queue_damage *d = &reply->queue_damage;

    view->any = d->count + d->set_aside > 0;
    if (view->hint)
        print_hint(d);
    else
        view->json ? print_json(d) : print_text(d);
}

static int ask(struct cli_control *control, struct damage_view *view)
{
    const struct ipc_message ask = {.type = IPC_QUEUE_DAMAGE_ASK};

    return cli_control_ask(control, &ask, on_damage, view);
}

int queue_damage_print(struct cli_control *control, bool json)
{
    struct damage_view view = {.json = json};
    int code = ask(control, &view);

    return code == CLI_OK && view.any ? CLI_BAD_NEWS : code;
}

int queue_damage_hint(struct cli_control *control)
{
    struct damage_view view = {.hint = true};

    return ask(control, &view);
}
