#include "cli/status_print.h"

#include <errno.h>
#include <stdlib.h>

enum { DEPTH_MAX = 8, PATH_SIZE = 256 };

static void add_figures(struct cli_table *t, const char *path, json_t *value, int depth);

static void add_figure(struct cli_table *t, const char *path, json_t *value)
{
    char *made = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    const char *text = made ? made : json_string_value(value);

    cli_table_add(t, span_from_cstr(path));
    if (text)
        cli_table_add(t, span_from_cstr(text));
    else
        t->cells.error = -ENOMEM; /* sticky: cli_table_print() tells it */
    free(made);
}

/* "queue" or "smtpd.1": which process an element of a list tells of. */
static void format_element(json_t *element, size_t place, char out[static PATH_SIZE])
{
    const char *name = json_string_value(json_object_get(element, "name"));
    json_int_t index = json_integer_value(json_object_get(element, "index"));

    if (!name)
        snprintf(out, PATH_SIZE, "%zu", place);
    else if (index)
        snprintf(out, PATH_SIZE, "%s.%lld", name, (long long)index);
    else
        snprintf(out, PATH_SIZE, "%s", name);
}

static void add_members(struct cli_table *t, const char *path, json_t *object, int depth)
{
    char name[PATH_SIZE];
    const char *key;
    json_t *member;

    json_object_foreach(object, key, member)
    {
        /* These are in the path already, or would only make it longer. */
        bool plain = strcmp(key, "figures") == 0;
        if (json_object_get(object, "name") &&
            (strcmp(key, "name") == 0 || strcmp(key, "index") == 0))
            continue;
        snprintf(name, sizeof(name), "%s%s%s", path, *path && !plain ? "." : "", plain ? "" : key);
        add_figures(t, name, member, depth + 1);
    }
}

/* A line a figure, named by its path: "queue.spool.waiting". The answer is our own server's, and
 * its depth is bounded all the same. */
static void add_figures(struct cli_table *t, const char *path, json_t *value, int depth)
{
    char name[PATH_SIZE];
    size_t place;
    json_t *element;

    if (depth < DEPTH_MAX && json_is_object(value)) {
        add_members(t, path, value, depth);
    } else if (depth < DEPTH_MAX && json_is_array(value)) {
        json_array_foreach(value, place, element)
        {
            format_element(element, place, name);
            add_figures(t, name, element, depth + 1);
        }
    } else {
        add_figure(t, path, value);
    }
}

int status_print_figures(json_t *status)
{
    static const struct cli_column columns[] = {{"figure", false}, {"value", false}};
    struct cli_table t;

    cli_table_init(&t, columns, ARRAY_SIZE(columns));
    add_figures(&t, "", status, 0);
    int result = cli_table_print(&t, stdout);
    cli_table_done(&t);
    return result;
}
