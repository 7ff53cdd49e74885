/*
 * A tree that could be made is read as always, and its faults are passed over. Where YAML breaks
 * off, each setting of the outermost level is read for itself, so that a fault takes no other
 * along.
 *
 * A place is in doubt when something in the file may have named it and could not be read, or by a
 * name that isn't known, whatever its value (`contrl: control`, beside the file): mail that
 * goes to the wrong folder lies there for ever, and its sender was told that it is safe.
 */
#include "conf/glean.h"

#include "conf/file.h"
#include "conf/keys.h"
#include "conf/tree.h"
#include <errno.h>
#include <string.h>

enum { MEMORY_MAX = 256 * 1024 * 1024, DOMAINS = 4, HOSTNAME = 5 };

static const struct place {
    const char *key;
    size_t offset; /* of its span in struct conf */
} places[] = {
    {"spool", offsetof(struct conf, spool)},
    {"ledger", offsetof(struct conf, ledger)},
    {"control", offsetof(struct conf, control)},
    {"drop", offsetof(struct conf, drop)},
    [DOMAINS] = {"domains", 0}, /* from here on: what addresses are completed by */
    [HOSTNAME] = {"hostname", 0},
};

struct gleaning {
    struct conf *conf;
    struct conf_problems *problems;
    bool named[ARRAY_SIZE(places)];  /* somewhere */
    bool broken[ARRAY_SIZE(places)]; /* where it can't be read */
    bool strange;                    /* a key isn't known: a slip of the pen? */
    bool strange_map;                /* and its value is a map, as that of `domains` */
    size_t domain_names;             /* that the file has */
    int error;
};

static struct span *member(struct conf *c, size_t place)
{
    return (struct span *)((char *)c + places[place].offset);
}

static bool is_known(struct span key)
{
    for (size_t i = 0; i < conf_file_schema.key_count; i++)
        if (span_equal(key, span_from_cstr(conf_file_schema.keys[i].name)))
            return true;
    return false;
}

static void look_at_key(struct gleaning *g, const struct conf_node *n)
{
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        if (!span_equal(n->key, span_from_cstr(places[i].key)))
            continue;
        g->broken[i] |= n->kind == CONF_NODE_BAD || g->named[i];
        g->named[i] = true;
    }
    bool strange = !is_known(n->key);
    g->strange |= strange;
    g->strange_map |= strange && n->kind != CONF_NODE_TEXT;
    if (span_equal(n->key, SPAN("domains")) && n->kind == CONF_NODE_MAP)
        g->domain_names = n->child_count;
}

static void take_tree(struct gleaning *g, const struct conf_node *root)
{
    struct conf_reader reader = {&g->conf->arena, g->problems, g->conf->folder, 0};

    for (const struct conf_node *n = root->first; n; n = n->next)
        look_at_key(g, n);
    conf_schema_read(&reader, &conf_file_schema, root, g->conf);
    g->error = reader.error;
}

/* Comments speak of everything. */
static bool mentions(struct span text, const char *key)
{
    struct span line;

    while (span_next_line(&text, &line)) {
        line = span_trim(line);
        if (line.size && line.data[0] != '#' && memmem(line.data, line.size, key, strlen(key)))
            return true;
    }
    return false;
}

/* "key: …" at the line's start. What else stands there ends something that began before. */
static bool begins_setting(struct span line)
{
    char first = line.size ? line.data[0] : ' ';

    return first == '"' || first == '\'' || (first >= 'a' && first <= 'z');
}

/* Of a setting that can't be read. */
static bool has_known_key(struct span text)
{
    struct span line;

    while (span_next_line(&text, &line)) {
        ptrdiff_t colon = span_find(line, ':');
        if (begins_setting(line))
            return colon >= 0 && is_known(span_trim(span_first(line, (size_t)colon)));
    }
    return true;
}

static void take_unread(struct gleaning *g, struct span text)
{
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        g->broken[i] |= mentions(text, places[i].key);
    if (!has_known_key(text))
        g->strange = g->strange_map = true;
}

static void take_text(struct gleaning *g, struct span text)
{
    struct conf_node *root;
    int r = conf_tree_parse(text, g->conf->file, &g->conf->arena, g->problems, &root);

    if (r == -ENOMEM)
        g->error = r;
    else if (r == 0)
        take_tree(g, root);
    else
        take_unread(g, text);
}

static void take_each(struct gleaning *g, struct span text)
{
    struct span rest = text, line, setting = span_first(text, 0);

    while (g->error == 0 && span_next_line(&rest, &line)) {
        if (begins_setting(line) && setting.size) {
            take_text(g, setting);
            setting = span_of(line.data, 0);
        }
        setting.size = (size_t)(rest.data - setting.data);
    }
    if (g->error == 0 && setting.size)
        take_text(g, setting);
}

static int take_all(struct gleaning *g, struct span text)
{
    struct conf_node *root;
    int r = conf_tree_parse(text, g->conf->file, &g->conf->arena, g->problems, &root);

    if (r == -EINVAL)
        take_each(g, text);
    else if (r == 0)
        take_tree(g, root);
    return r == -ENOMEM ? r : g->error;
}

/* What was not named has its default, unless it may have been. */
static int settle(struct gleaning *g, const struct conf *defaults)
{
    for (size_t i = 0; i < DOMAINS; i++) {
        struct span *value = member(g->conf, i);
        if (g->broken[i] || (!value->data && (g->named[i] || g->strange)))
            return -EINVAL;
        if (!value->data)
            *value = *member((struct conf *)defaults, i);
    }
    return 0;
}

/* All of their names, and the host's: which of them an address without a domain gets hangs on both.
 * There are none only where nothing else may be they. */
static bool domains_are_known(const struct gleaning *g)
{
    bool all = g->named[DOMAINS] ? g->domain_names > 0 : !g->strange;

    return all && !g->strange_map && !g->broken[DOMAINS] && !g->broken[HOSTNAME] &&
           g->conf->domain_count == g->domain_names && g->conf->hostname.size > 0;
}

int conf_glean_text(struct span text, struct span file, struct span folder, struct conf *out,
                    bool *out_domains_known)
{
    struct conf c = {.arena = ARENA_LIMITED(MEMORY_MAX)};
    struct conf_problems unheard;
    struct gleaning g = {.conf = &c, .problems = &unheard};

    c.file = arena_copy(&c.arena, file);
    c.folder = arena_copy(&c.arena, folder);
    conf_set_defaults(&c);
    struct conf defaults = c;
    for (size_t i = 0; i < DOMAINS; i++)
        *member(&c, i) = (struct span){0};
    conf_problems_init(&unheard);
    int r = c.file.data && c.folder.data ? take_all(&g, text) : -ENOMEM;
    conf_problems_done(&unheard);
    if (r == 0)
        r = settle(&g, &defaults);
    if (r < 0) {
        conf_done(&c);
    } else {
        *out_domains_known = domains_are_known(&g);
        *out = c;
    }
    return r;
}
