/*
 * A schema: tables that say which keys a map may have, of which type each value is and where it
 * goes in a structure. One walker fills the structure and reports every value that doesn't fit.
 */
#pragma once

#include "conf/tree.h"

enum conf_type {
    CONF_TYPE_TEXT,        /* struct span */
    CONF_TYPE_HOST,        /* struct span, a host name, lower case */
    CONF_TYPE_PATH,        /* struct span, made absolute; "file:" in front is dropped */
    CONF_TYPE_NUMBER,      /* uint64_t */
    CONF_TYPE_SIZE,        /* uint64_t bytes */
    CONF_TYPE_TIME,        /* uint64_t ms */
    CONF_TYPE_WORD,        /* uint8_t index into `words` */
    CONF_TYPE_BOOL,        /* bool */
    CONF_TYPE_ADDRESSES,   /* list of struct conf_address, counted at `count_offset` */
    CONF_TYPE_SERVERS,     /* the same, port 53 unless said */
    CONF_TYPE_NETWORKS,    /* list of struct conf_network, counted at `count_offset` */
    CONF_TYPE_MAP,         /* the keys of `schema`, in the same structure plus `offset` */
    CONF_TYPE_MAPS,        /* names, each a map of `schema`: array counted at `count_offset` */
    CONF_TYPE_CUSTOM,      /* `read` does it */
    CONF_TYPE_CUSTOM_LIST, /* `read` does it, also with a list (conf_node_items()) */
};

struct conf_reader;
struct conf_schema;

struct conf_key {
    const char *name;
    enum conf_type type;
    size_t offset;            /* CONF_UNKEPT: the form is checked, the value dropped */
    size_t count_offset;      /* lists */
    uint64_t min, max;        /* numbers, sizes, times; lists: most elements. max 0: no bound */
    const char *const *words; /* NULL at the end */
    const struct conf_schema *schema;
    /* Reads node n into the member; reports by conf_error() and returns false when it is bad. */
    bool (*read)(struct conf_reader *r, const struct conf_node *n, void *member);
    bool required;
    const char *not_built; /* what its absence means; a warning when the key is there */
};

#define CONF_UNKEPT SIZE_MAX

struct conf_schema {
    const char *name; /* for messages: "a listener" */
    const struct conf_key *keys;
    size_t key_count;
    /* For CONF_TYPE_MAPS: size of an element, where its name and place go, and whether a name is
     * good (and its canonical form); NULL: any. */
    size_t size;
    size_t name_offset, place_offset;
    bool (*read_name)(struct conf_reader *r, const struct conf_node *n, struct span *out_name);
};

struct conf_reader {
    struct arena *arena;
    struct conf_problems *problems;
    struct span folder;
    int error; /* sticky: -ENOMEM */
};

/* Fills `target` from the map. What is wrong is in r->problems. */
void conf_schema_read(struct conf_reader *r, const struct conf_schema *schema,
                      const struct conf_node *map, void *target);

/* The first item of a list and their number; a single value serves as a list of one, and then its
 * `next` is not part of it. */
const struct conf_node *conf_node_items(const struct conf_node *n, size_t *out_count);

/* For CUSTOM readers. An absolute path in the arena; false (and reported) when it is none. */
bool conf_read_path(struct conf_reader *r, const struct conf_node *n, struct span text,
                    struct span *out_path);
/* In canonical form (mail/address.h) in the arena. */
bool conf_read_domain(struct conf_reader *r, struct conf_place place, struct span text,
                      struct span *out_name);
