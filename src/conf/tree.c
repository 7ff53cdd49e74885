/*
 * libyaml's events, with a stack of open lists and maps: no recursion, and nothing is kept of a
 * document but what tree.h names. Faults that leave a tree (duplicate keys, control characters)
 * make the node BAD; those that don't stop the reading.
 */
#include "conf/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

/* A list or map that is being filled. */
struct level {
    struct conf_node *node;
    struct conf_node *last;
    struct span key; /* map: the key whose value comes next */
    struct conf_place key_place;
    bool key_waits;
};

struct builder {
    yaml_parser_t parser;
    struct span file;
    struct arena *arena;
    struct conf_problems *problems;
    struct conf_node *root;
    struct level levels[CONF_TREE_DEPTH_MAX];
    size_t depth;
    size_t node_count;
    int documents;
    int error; /* sticky: -EINVAL or -ENOMEM */
};

static struct conf_place place_of(const struct builder *b, const yaml_mark_t *mark)
{
    return (struct conf_place){b->file, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
}

static void stop(struct builder *b, const yaml_mark_t *mark, const char *text)
{
    conf_error(b->problems, place_of(b, mark), "%s", text);
    b->error = -EINVAL;
}

/* Counted, since a megabyte of "[[],[],…" makes far more nodes than any configuration has. */
static struct conf_node *new_node(struct builder *b, const yaml_event_t *event,
                                  enum conf_node_kind kind)
{
    struct conf_node *node;

    if (++b->node_count > CONF_TREE_NODES_MAX) {
        stop(b, &event->start_mark, "the file has too many values; at most 100000 are read");
        return NULL;
    }
    node = arena_alloc(b->arena, sizeof(*node));
    if (!node) {
        b->error = -ENOMEM;
        return NULL;
    }
    node->kind = kind;
    node->place = place_of(b, &event->start_mark);
    return node;
}

/* Hangs the node where it belongs: under the open list or map, or at the root. The order of the
 * file is kept: faults are told in it. */
static void attach(struct builder *b, struct conf_node *node)
{
    struct level *top;

    if (b->depth == 0) {
        b->root = node;
        return;
    }
    top = &b->levels[b->depth - 1];
    node->key = top->key;
    node->key_place = top->key_place;
    top->key_waits = false;
    if (top->last)
        top->last->next = node;
    else
        top->node->first = node;
    top->last = node;
    top->node->child_count++;
}

static bool expects_key(const struct builder *b)
{
    return b->depth && b->levels[b->depth - 1].node->kind == CONF_NODE_MAP &&
           !b->levels[b->depth - 1].key_waits;
}

/* YAML's marks make one text mean what stands elsewhere, or another type than it seems to be: in a
 * configuration both are surprises. */
static void refuse_marks(struct builder *b, const yaml_event_t *event, const void *anchor,
                         const void *tag)
{
    if (anchor)
        conf_error(b->problems, place_of(b, &event->start_mark),
                   "anchors (&%.40s) are not used here; write the value where it is needed",
                   (const char *)anchor);
    if (tag)
        conf_error(b->problems, place_of(b, &event->start_mark),
                   "tags (%.40s) are not used here; write the value without it, in quotes if it "
                   "starts with an exclamation mark",
                   (const char *)tag);
}

static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
            return true;
    return false;
}

static void on_scalar(struct builder *b, const yaml_event_t *event)
{
    struct span text = span_of(event->data.scalar.value, event->data.scalar.length);
    bool bad = has_control(text);

    refuse_marks(b, event, event->data.scalar.anchor, event->data.scalar.tag);
    if (bad)
        conf_error(b->problems, place_of(b, &event->start_mark),
                   "control characters and line ends can't be part of a value; take them out");
    text = arena_copy(b->arena, text);
    if (!text.data) {
        b->error = -ENOMEM;
        return;
    }
    if (expects_key(b)) {
        struct level *top = &b->levels[b->depth - 1];
        top->key = text;
        top->key_place = place_of(b, &event->start_mark);
        top->key_waits = true;
        return;
    }
    struct conf_node *node = new_node(b, event, bad ? CONF_NODE_BAD : CONF_NODE_TEXT);
    if (!node)
        return;
    node->text = text;
    attach(b, node);
}

/* As a key it is given an empty name, which find_key() doesn't know and nobody reports again. */
static void on_alias(struct builder *b, const yaml_event_t *event)
{
    conf_error(b->problems, place_of(b, &event->start_mark),
               "aliases (*%.40s) are not used here; write the value itself, in quotes if it "
               "starts with an asterisk",
               (const char *)event->data.alias.anchor);
    if (expects_key(b)) {
        b->levels[b->depth - 1].key = SPAN("");
        b->levels[b->depth - 1].key_waits = true;
        return;
    }
    struct conf_node *node = new_node(b, event, CONF_NODE_BAD);
    if (node)
        attach(b, node);
}

static void on_start(struct builder *b, const yaml_event_t *event, enum conf_node_kind kind)
{
    struct conf_node *node;

    if (kind == CONF_NODE_MAP)
        refuse_marks(b, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    else
        refuse_marks(b, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
    if (expects_key(b)) {
        stop(b, &event->start_mark, "a key must be text, not a list or map; put it in quotes");
        return;
    }
    if (b->depth == CONF_TREE_DEPTH_MAX) {
        stop(b, &event->start_mark, "nested too deep; no setting needs more than four levels");
        return;
    }
    node = new_node(b, event, kind);
    if (!node)
        return;
    attach(b, node);
    b->levels[b->depth++] = (struct level){.node = node};
}

static int by_key(const void *left, const void *right)
{
    const struct conf_node *a = *(const struct conf_node *const *)left;
    const struct conf_node *b = *(const struct conf_node *const *)right;
    size_t common = a->key.size < b->key.size ? a->key.size : b->key.size;
    int order = common ? memcmp(a->key.data, b->key.data, common) : 0;

    if (order == 0)
        order = (a->key.size > b->key.size) - (a->key.size < b->key.size);
    if (order == 0)
        order = (a->key_place.line > b->key_place.line) - (a->key_place.line < b->key_place.line);
    if (order == 0)
        order = (a->key_place.column > b->key_place.column) -
                (a->key_place.column < b->key_place.column);
    return order;
}

/* Sorted, so that a map with a hundred thousand keys costs no more than it should. */
static void refuse_duplicates(struct builder *b, const struct conf_node *map)
{
    struct conf_node **sorted;
    size_t count = 0;

    if (map->child_count < 2)
        return;
    sorted = calloc(map->child_count, sizeof(struct conf_node *));
    if (!sorted) {
        b->error = -ENOMEM;
        return;
    }
    for (struct conf_node *child = map->first; child; child = child->next)
        sorted[count++] = child;
    qsort(sorted, count, sizeof(struct conf_node *), by_key);
    for (size_t i = 1; i < count; i++) {
        if (!span_equal(sorted[i]->key, sorted[i - 1]->key))
            continue;
        conf_error(b->problems, sorted[i]->key_place,
                   "`%.*s` is set twice, first in line %u; keep one of the two",
                   SPAN_ARG(span_first(sorted[i]->key, 80)), sorted[i - 1]->key_place.line);
        sorted[i]->kind = CONF_NODE_BAD;
    }
    free(sorted);
}

static void on_end(struct builder *b)
{
    struct conf_node *node = b->levels[--b->depth].node;

    if (node->kind == CONF_NODE_MAP)
        refuse_duplicates(b, node);
}

/* "---" at the start is one document and fine. */
static void on_document(struct builder *b, const yaml_event_t *event)
{
    if (b->documents++ > 0)
        stop(b, &event->start_mark,
             "a second document begins here; take out the `---`, all settings are one document");
}

static void on_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        on_document(b, event);
        break;
    case YAML_SCALAR_EVENT:
        on_scalar(b, event);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(b, event);
        break;
    case YAML_MAPPING_START_EVENT:
        on_start(b, event, CONF_NODE_MAP);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_start(b, event, CONF_NODE_LIST);
        break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        on_end(b);
        break;
    default:
        break;
    }
}

/* libyaml counts bytes, not lines, when the bytes themselves are bad. */
static void report_bytes(struct builder *b, struct span text)
{
    size_t offset = b->parser.problem_offset;
    struct conf_place place = {b->file, 1, 1};

    for (size_t i = 0; i < offset && i < text.size; i++) {
        place.column++;
        if (text.data[i] == '\n') {
            place.line++;
            place.column = 1;
        }
    }
    conf_error(b->problems, place,
               "not text in UTF-8 here (%s); write the file in UTF-8 without control characters",
               b->parser.problem);
}

static const char *mend_for(const char *problem)
{
    static const struct {
        const char *part, *mend;
    } mends[] = {
        {"cannot start any token", "a tab can't indent, and @ ` % need quotes"},
        {"mapping values are not allowed", "put a value that holds `: ` in quotes, and check the "
                                           "indentation"},
        {"did not find expected key", "check the indentation, and close quotes and brackets"},
        {"could not find expected ':'", "write `key: value`, with a blank behind the colon"},
        {"did not find expected ',' or", "close the bracket that was opened before"},
        {"end of stream", "close the quote that was opened before"},
        {"block sequence entries are not allowed", "start a list on a line of its own, indented"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(mends); i++)
        if (strstr(problem, mends[i].part))
            return mends[i].mend;
    return "check the indentation, quotes and brackets";
}

static void report(struct builder *b, struct span text)
{
    const char *problem = b->parser.problem ? b->parser.problem : "it can't be read";

    b->error = b->parser.error == YAML_MEMORY_ERROR ? -ENOMEM : -EINVAL;
    if (b->error == -ENOMEM)
        return;
    if (b->parser.error == YAML_READER_ERROR) {
        report_bytes(b, text);
        return;
    }
    conf_error(b->problems, place_of(b, &b->parser.problem_mark), "not YAML: %s; %s", problem,
               mend_for(problem));
}

static void build(struct builder *b, struct span text)
{
    bool ended = false;

    while (!ended && b->error == 0) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event)) {
            report(b, text);
            return;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        on_event(b, &event);
        yaml_event_delete(&event);
    }
}

static int finish(struct builder *b, struct conf_node **out_root)
{
    struct conf_place start = {b->file, 1, 1};

    if (b->error)
        return b->error;
    if (!b->root || (b->root->kind == CONF_NODE_TEXT && b->root->text.size == 0)) {
        conf_error(b->problems, start, "the file sets nothing; it needs at least `hostname:`");
        return -EINVAL;
    }
    if (b->root->kind != CONF_NODE_MAP) {
        conf_error(b->problems, b->root->place, "the file must be `key: value` lines");
        return -EINVAL;
    }
    *out_root = b->root;
    return 0;
}

int conf_tree_parse(struct span text, struct span file, struct arena *arena,
                    struct conf_problems *problems, struct conf_node **out_root)
{
    struct builder b = {.file = file, .arena = arena, .problems = problems};
    int r;

    if (text.size > CONF_TREE_TEXT_MAX) {
        conf_error(problems, (struct conf_place){file, 0, 0},
                   "the file is larger than %d bytes; split off users and aliases",
                   CONF_TREE_TEXT_MAX);
        return -EINVAL;
    }
    if (!yaml_parser_initialize(&b.parser))
        return -ENOMEM;
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    /* An empty file has no bytes to point at, which libyaml would end the process for. */
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text.size ? text.data : ""),
                                 text.size);
    build(&b, text);
    r = finish(&b, out_root);
    yaml_parser_delete(&b.parser);
    return r;
}

const struct conf_node *conf_tree_child(const struct conf_node *map, const char *key)
{
    if (!map || map->kind != CONF_NODE_MAP)
        return NULL;
    for (const struct conf_node *child = map->first; child; child = child->next)
        if (span_equal(child->key, span_from_cstr(key)) && child->kind != CONF_NODE_BAD)
            return child;
    return NULL;
}
