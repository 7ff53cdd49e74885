/*
 * The walker. It reads on after each fault, so that all are reported at once; a value that doesn't
 * fit leaves its member as it was, which is the default. Reader functions return false when they
 * have reported something.
 */
#include "conf/schema.h"

#include "conf/network.h"
#include "conf/part.h"
#include "conf/value.h"
#include "mail/address.h"
#include <errno.h>

enum { SHOWN_MAX = 80 };

/* For "%.*s": what a message shows of a value. */
#define SHOWN(s) SPAN_ARG(span_first(s, SHOWN_MAX))

static void *allocate(struct conf_reader *r, size_t count, size_t size)
{
    void *memory = arena_alloc_array(r->arena, count ? count : 1, size);

    if (!memory)
        r->error = -ENOMEM;
    return memory;
}

bool conf_read_domain(struct conf_reader *r, struct conf_place place, struct span text,
                      struct span *out_name)
{
    char name[ADDRESS_DOMAIN_MAX + 1];
    size_t size;

    /* Addresses in mail go through the same function, so that equal domains are equal bytes. */
    if (address_parse_domain(text, ADDRESS_ALLOW_UTF8, name, &size) != ADDRESS_OK ||
        name[0] == '[') {
        conf_error(r->problems, place,
                   "`%.*s` is not a domain name; write one like mail.example.org", SHOWN(text));
        return false;
    }
    struct span copy = arena_copy(r->arena, span_of(name, size));
    if (!copy.data) {
        r->error = -ENOMEM;
        return false;
    }
    *out_name = copy;
    return true;
}

static bool is_scheme(struct span text)
{
    ptrdiff_t colon = span_find(text, ':');
    ptrdiff_t slash = span_find(text, '/');

    return colon > 0 && (slash < 0 || colon < slash);
}

bool conf_read_path(struct conf_reader *r, const struct conf_node *n, struct span text,
                    struct span *out_path)
{
    struct buffer path = BUFFER_LIMITED(CONF_PATH_MAX - 1);

    if (text.size == 0 || is_scheme(text)) {
        conf_error(r->problems, n->place,
                   "`%.*s` is not the path of a file or folder; write it as /path or file:/path",
                   SHOWN(n->text));
        return false;
    }
    if (text.data[0] != '/') {
        buffer_append_span(&path, r->folder);
        buffer_append_byte(&path, '/');
    }
    if (text.size >= 2 && text.data[0] == '.' && text.data[1] == '/')
        text = span_from(text, 2);
    buffer_append_span(&path, text);
    while (path.size > 1 && path.data[path.size - 1] == '/')
        path.size--;
    bool long_one = buffer_error(&path) == -EMSGSIZE;
    if (long_one)
        conf_error(r->problems, n->place, "the path is longer than %d bytes; choose a shorter one",
                   CONF_PATH_MAX - 1);
    else
        *out_path = arena_copy(r->arena, buffer_span(&path));
    if (!long_one && (buffer_error(&path) || !out_path->data))
        r->error = -ENOMEM;
    buffer_done(&path);
    return !long_one && r->error == 0;
}

static bool read_path(struct conf_reader *r, const struct conf_node *n, void *member)
{
    struct span text = n->text;

    if (span_starts_nocase(text, SPAN("file:")))
        text = span_from(text, 5);
    return conf_read_path(r, n, text, member);
}

static bool read_text(struct conf_reader *r, const struct conf_node *n, void *member)
{
    if (n->text.size > CONF_TEXT_MAX) {
        conf_error(r->problems, n->place, "longer than %d bytes; shorten it", CONF_TEXT_MAX);
        return false;
    }
    *(struct span *)member = n->text;
    return true;
}

static void append_bound(enum conf_type type, uint64_t bound, struct buffer *out)
{
    if (type == CONF_TYPE_SIZE)
        conf_size_format(bound, out);
    else if (type == CONF_TYPE_TIME)
        conf_duration_format(bound, out);
    else
        buffer_printf(out, "%llu", (unsigned long long)bound);
}

static void report_bounds(struct conf_reader *r, const struct conf_key *k,
                          const struct conf_node *n, const char *is)
{
    struct buffer bounds = BUFFER_LIMITED(64);

    append_bound(k->type, k->min, &bounds);
    buffer_printf(&bounds, " to ");
    append_bound(k->type, k->max ? k->max : UINT64_MAX, &bounds);
    conf_error(r->problems, n->place, "`%.*s` is too %s for `%s`; choose %.*s", SHOWN(n->text), is,
               k->name, SPAN_ARG(buffer_span(&bounds)));
    buffer_done(&bounds);
}

/* The bounds are the key's; -ERANGE, a number that doesn't fit 64 bits, is too large for all of
 * them. */
static bool read_number(struct conf_reader *r, const struct conf_key *k, const struct conf_node *n,
                        uint64_t *member)
{
    static const struct {
        const char *is, *like;
        int (*parse)(struct span, uint64_t *);
    } forms[] = {
        [CONF_TYPE_SIZE] = {"size", "50M or 64K", conf_size_parse},
        [CONF_TYPE_TIME] = {"time", "30s, 5m, 4h or 4d", conf_duration_parse},
    };
    const char *is = "number", *like = "100";
    uint64_t value = 0;
    int result;

    if (k->type == CONF_TYPE_NUMBER) {
        result = span_to_u64(n->text, UINT64_MAX, &value);
    } else {
        is = forms[k->type].is;
        like = forms[k->type].like;
        result = forms[k->type].parse(n->text, &value);
    }
    if (result == -EINVAL) {
        conf_error(r->problems, n->place, "`%s` is a %s, but `%.*s` is none; write it like %s",
                   k->name, is, SHOWN(n->text), like);
        return false;
    }
    if (result < 0 || (k->max && value > k->max)) {
        report_bounds(r, k, n, "large");
        return false;
    }
    if (value < k->min) {
        report_bounds(r, k, n, "small");
        return false;
    }
    *member = value;
    return true;
}

static bool read_word(struct conf_reader *r, const struct conf_key *k, const struct conf_node *n,
                      uint8_t *member)
{
    struct buffer list = BUFFER_LIMITED(256);

    for (uint8_t i = 0; k->words[i]; i++)
        if (span_equal(n->text, span_from_cstr(k->words[i]))) {
            *member = i;
            return true;
        }
    for (size_t i = 0; k->words[i]; i++)
        buffer_printf(&list, "%s%s", i ? ", " : "", k->words[i]);
    conf_error(r->problems, n->place, "`%.*s` is not a value of `%s`; choose one of: %.*s",
               SHOWN(n->text), k->name, SPAN_ARG(buffer_span(&list)));
    buffer_done(&list);
    return false;
}

static bool read_bool(struct conf_reader *r, const struct conf_key *k, const struct conf_node *n,
                      bool *member)
{
    if (conf_bool_parse(n->text, member) == 0)
        return true;
    conf_error(r->problems, n->place, "`%s` is yes or no, but `%.*s` is neither; write yes or no",
               k->name, SHOWN(n->text));
    return false;
}

const struct conf_node *conf_node_items(const struct conf_node *n, size_t *out_count)
{
    *out_count = n->kind == CONF_NODE_LIST ? n->child_count : 1;
    return n->kind == CONF_NODE_LIST ? n->first : n;
}

static bool read_address(struct conf_reader *r, const struct conf_node *n, struct conf_address *out)
{
    if (conf_address_parse(n->text, out) == 0)
        return true;
    conf_error(
        r->problems, n->place,
        "`%.*s` is not an address with a port; write \"192.0.2.1:25\" or \"[2001:db8::1]:25\"",
        SHOWN(n->text));
    return false;
}

static bool read_server(struct conf_reader *r, const struct conf_node *n, struct conf_address *out)
{
    if (conf_server_parse(n->text, out) == 0)
        return true;
    conf_error(r->problems, n->place,
               "`%.*s` is not the address of a name server; write \"192.0.2.1\" or "
               "\"192.0.2.1@5353\"",
               SHOWN(n->text));
    return false;
}

static bool read_network(struct conf_reader *r, const struct conf_node *n, struct conf_network *out)
{
    int result = conf_network_parse(n->text, out);

    if (result == 0)
        return true;
    if (result == -EDOM)
        conf_error(r->problems, n->place,
                   "`%.*s` has bits set behind its prefix; clear them, or leave the prefix out to "
                   "mean this one address",
                   SHOWN(n->text));
    else
        conf_error(r->problems, n->place,
                   "`%.*s` is not a network; write it like 192.0.2.0/24 or \"2001:db8::/32\"",
                   SHOWN(n->text));
    return false;
}

static bool read_element(struct conf_reader *r, enum conf_type type, const struct conf_node *n,
                         void *out)
{
    if (n->kind == CONF_NODE_BAD)
        return false;
    if (n->kind != CONF_NODE_TEXT) {
        conf_error(r->problems, n->place, "here belongs a single value, not a list or map");
        return false;
    }
    if (type == CONF_TYPE_ADDRESSES)
        return read_address(r, n, out);
    if (type == CONF_TYPE_SERVERS)
        return read_server(r, n, out);
    return read_network(r, n, out);
}

/* Not more than are read. */
static bool has_items(struct conf_reader *r, const struct conf_key *k, const struct conf_node *n)
{
    size_t count;

    conf_node_items(n, &count);
    if (k->max == 0 || count <= k->max)
        return true;
    conf_error(r->problems, n->place, "`%s` has %zu values; at most %u are read", k->name, count,
               (unsigned)k->max);
    return false;
}

/* An element that is bad is left out, and the others are kept: the checks that follow shall not
 * report what only an error made to be missing. Such a configuration is never used. */
static void read_list(struct conf_reader *r, const struct conf_key *k, const struct conf_node *n,
                      char *target)
{
    static const size_t sizes[] = {[CONF_TYPE_ADDRESSES] = sizeof(struct conf_address),
                                   [CONF_TYPE_SERVERS] = sizeof(struct conf_address),
                                   [CONF_TYPE_NETWORKS] = sizeof(struct conf_network)};
    size_t count, good = 0, size = sizes[k->type];
    const struct conf_node *child = conf_node_items(n, &count);

    if (!has_items(r, k, n))
        return;
    char *elements = allocate(r, count, size);
    for (; elements && child && good < count; child = child->next)
        if (read_element(r, k->type, child, elements + good * size))
            good++;
    if (k->offset == CONF_UNKEPT || !elements)
        return;
    memcpy(target + k->offset, &elements, sizeof(elements));
    memcpy(target + k->count_offset, &good, sizeof(good));
}

static void read_maps(struct conf_reader *r, const struct conf_key *k, const struct conf_node *n,
                      char *target)
{
    const struct conf_schema *s = k->schema;
    size_t good = 0;

    if (k->max && n->child_count > k->max) {
        conf_error(r->problems, n->place, "`%s` has %zu entries; at most %u are read", k->name,
                   n->child_count, (unsigned)k->max);
        return;
    }
    char *elements = allocate(r, n->child_count, s->size);
    for (const struct conf_node *child = n->first; elements && child; child = child->next) {
        char *element = elements + good * s->size;
        struct span name = child->key;
        if (child->kind == CONF_NODE_BAD || (s->read_name && !s->read_name(r, child, &name)))
            continue;
        memcpy(element + s->name_offset, &name, sizeof(name));
        memcpy(element + s->place_offset, &child->key_place, sizeof(child->key_place));
        conf_schema_read(r, s, child, element);
        good++;
    }
    if (k->offset == CONF_UNKEPT || !elements)
        return;
    memcpy(target + k->offset, &elements, sizeof(elements));
    memcpy(target + k->count_offset, &good, sizeof(good));
}

/* What isn't kept is read all the same, into a scratch value: a key that this version doesn't use
 * must be right when the next one does. */
static void read_scalar(struct conf_reader *r, const struct conf_key *k, const struct conf_node *n,
                        char *target)
{
    union {
        struct span span;
        uint64_t number;
        uint8_t word;
        bool flag;
    } unkept;
    void *member = k->offset == CONF_UNKEPT ? (void *)&unkept : target + k->offset;

    switch (k->type) {
    case CONF_TYPE_HOST:
        conf_read_domain(r, n->place, n->text, member);
        break;
    case CONF_TYPE_PATH:
        read_path(r, n, member);
        break;
    case CONF_TYPE_NUMBER:
    case CONF_TYPE_SIZE:
    case CONF_TYPE_TIME:
        read_number(r, k, n, member);
        break;
    case CONF_TYPE_WORD:
        read_word(r, k, n, member);
        break;
    case CONF_TYPE_BOOL:
        read_bool(r, k, n, member);
        break;
    case CONF_TYPE_CUSTOM:
    case CONF_TYPE_CUSTOM_LIST:
        if (has_items(r, k, n))
            k->read(r, n, target);
        break;
    default:
        read_text(r, n, member);
    }
}

static bool has_form(struct conf_reader *r, const struct conf_key *k, const struct conf_node *n)
{
    bool list = k->type == CONF_TYPE_ADDRESSES || k->type == CONF_TYPE_SERVERS ||
                k->type == CONF_TYPE_NETWORKS || k->type == CONF_TYPE_CUSTOM_LIST;
    bool map = k->type == CONF_TYPE_MAP || k->type == CONF_TYPE_MAPS;

    if (n->kind == CONF_NODE_BAD)
        return false;
    /* `trusted: []` means none; `trusted:` alone was left unfinished. */
    if (n->kind == CONF_NODE_TEXT && n->text.size == 0) {
        conf_error(r->problems, n->place, "`%s` has no value; give it one or take the line out",
                   k->name);
        return false;
    }
    if (map ? n->kind == CONF_NODE_MAP
            : n->kind == CONF_NODE_TEXT || (list && n->kind == CONF_NODE_LIST))
        return true;
    conf_error(r->problems, n->place, "`%s` is %s; write %s", k->name,
               map    ? "a group of settings"
               : list ? "a list of values"
                      : "a single value",
               map    ? "`key: value` lines below it, indented"
               : list ? "[value, value]"
                      : "one value behind the colon");
    return false;
}

static void read_key(struct conf_reader *r, const struct conf_key *k, const struct conf_node *n,
                     char *target)
{
    if (!has_form(r, k, n))
        return;
    if (k->not_built)
        conf_warn(r->problems, n->key_place, "not built yet: %s", k->not_built);
    switch (k->type) {
    case CONF_TYPE_MAP:
        conf_schema_read(r, k->schema, n, k->offset == CONF_UNKEPT ? NULL : target + k->offset);
        break;
    case CONF_TYPE_MAPS:
        read_maps(r, k, n, target);
        break;
    case CONF_TYPE_ADDRESSES:
    case CONF_TYPE_SERVERS:
    case CONF_TYPE_NETWORKS:
        read_list(r, k, n, target);
        break;
    default:
        read_scalar(r, k, n, target);
    }
}

/* The nearest key within a third of the letters is what was probably meant. */
static void report_unknown(struct conf_reader *r, const struct conf_schema *s,
                           const struct conf_node *n)
{
    unsigned best = 1 + (unsigned)(n->key.size < 20 ? n->key.size / 3 : 6);
    const char *nearest = NULL;

    for (size_t i = 0; i < s->key_count; i++) {
        unsigned distance = conf_edit_distance(n->key, span_from_cstr(s->keys[i].name), best);
        if (distance < best || (distance == best && !nearest)) {
            best = distance;
            nearest = s->keys[i].name;
        }
    }
    if (nearest)
        conf_error(r->problems, n->key_place, "%s has no key `%.*s`; did you mean `%s`?", s->name,
                   SHOWN(n->key), nearest);
    else
        conf_error(r->problems, n->key_place, "%s has no key `%.*s`; take it out", s->name,
                   SHOWN(n->key));
}

static const struct conf_key *find_key(const struct conf_schema *s, struct span name)
{
    for (size_t i = 0; i < s->key_count; i++)
        if (span_equal(name, span_from_cstr(s->keys[i].name)))
            return &s->keys[i];
    return NULL;
}

/* Also when its value is bad: that was reported, and "add it" would be wrong. */
static bool has_key(const struct conf_node *map, const char *name)
{
    for (const struct conf_node *n = map->first; n; n = n->next)
        if (span_equal(n->key, span_from_cstr(name)))
            return true;
    return false;
}

/* Schemas nest four deep and are constant, so this recursion is bounded by them, not by input. */
void conf_schema_read(struct conf_reader *r, const struct conf_schema *schema,
                      const struct conf_node *map, void *target)
{
    if (map->kind != CONF_NODE_MAP) {
        if (map->kind != CONF_NODE_BAD)
            conf_error(r->problems, map->place,
                       "%s is a group of settings; write { key: value } or indented lines",
                       schema->name);
        return;
    }
    for (const struct conf_node *n = map->first; n && r->error == 0; n = n->next) {
        const struct conf_key *k = find_key(schema, n->key);
        if (k)
            read_key(r, k, n, target);
        else if (n->key.size)
            report_unknown(r, schema, n);
    }
    for (size_t i = 0; i < schema->key_count; i++)
        if (schema->keys[i].required && !has_key(map, schema->keys[i].name))
            conf_error(r->problems, map->key.size ? map->key_place : map->place,
                       "%s needs `%s:`; add it", schema->name, schema->keys[i].name);
}
