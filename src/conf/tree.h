/*
 * The configuration file as a tree of nodes, each with its place. YAML is read as libyaml's events;
 * what would make a reader guess is refused: anchors, aliases, tags, duplicate keys, keys that are
 * not text, several documents, control characters. Scalars stay text: the schema types them.
 *
 * Bounded: CONF_TREE_TEXT_MAX bytes, CONF_TREE_NODES_MAX nodes, CONF_TREE_DEPTH_MAX levels.
 */
#pragma once

#include "conf/problem.h"

enum {
    CONF_TREE_TEXT_MAX = 1024 * 1024,
    CONF_TREE_NODES_MAX = 100000,
    CONF_TREE_DEPTH_MAX = 12,
};

enum conf_node_kind {
    CONF_NODE_TEXT,
    CONF_NODE_LIST,
    CONF_NODE_MAP,
    CONF_NODE_BAD, /* its error is reported already: nobody need look at it again */
};

struct conf_node {
    enum conf_node_kind kind;
    struct conf_place place;
    struct span key;             /* child of a map */
    struct conf_place key_place; /* child of a map */
    struct span text;            /* CONF_NODE_TEXT */
    struct conf_node *first, *next;
    size_t child_count;
};

/* 0 with the root, a map; -EINVAL when no tree could be made (the reason is in `problems`, as are
 * smaller faults after a 0); -ENOMEM. Nodes and texts lie in `arena`. */
int conf_tree_parse(struct span text, struct span file, struct arena *arena,
                    struct conf_problems *problems, struct conf_node **out_root);

/* The child of this key, or NULL. `map` may be NULL or no map. */
const struct conf_node *conf_tree_child(const struct conf_node *map, const char *key);
