#include "book/intern.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

/* 32,768 texts in all, at most 16 MiB of them, and that only if each were as long as may be. What
 * is longer than TEXT_MAX seldom comes twice. */
enum { BLOCK_SLOTS = 64, BLOCKS = 512, TEXT_MAX = 512 };

struct slot {
    char *text;
    size_t size;
    int64_t row;
};

/* A volume that sees few texts makes few blocks. */
struct intern {
    struct slot *blocks[BLOCKS];
};

int intern_new(struct intern **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : -ENOMEM;
}

static void free_block(struct slot *block)
{
    for (size_t i = 0; block && i < BLOCK_SLOTS; i++)
        free(block[i].text);
    free(block);
}

void intern_free(struct intern *intern)
{
    for (size_t i = 0; intern && i < BLOCKS; i++)
        free_block(intern->blocks[i]);
    free(intern);
}

/* Where a text's slot is: in which block, and at which place of it. */
struct place {
    size_t block, at;
};

/* Without a seed: who chooses texts that fall together only costs the database a look-up each. */
static struct place place_of(struct span text)
{
    uint64_t hash = XXH3_64bits(text.data, text.size);
    return (struct place){hash / BLOCK_SLOTS % BLOCKS, hash % BLOCK_SLOTS};
}

int64_t intern_find(const struct intern *intern, struct span text)
{
    struct place place = place_of(text);
    const struct slot *block = intern->blocks[place.block];

    if (!block || !block[place.at].text ||
        !span_equal(span_of(block[place.at].text, block[place.at].size), text))
        return 0;
    return block[place.at].row;
}

void intern_remember(struct intern *intern, struct span text, int64_t row)
{
    struct place place = place_of(text);
    struct slot **block = &intern->blocks[place.block];

    if (text.size > TEXT_MAX)
        return;
    if (!*block)
        *block = calloc(BLOCK_SLOTS, sizeof(**block));
    char *copy = *block ? malloc(text.size + 1) : NULL;
    if (!copy)
        return;
    if (text.size)
        memcpy(copy, text.data, text.size);
    free((*block)[place.at].text);
    (*block)[place.at] = (struct slot){copy, text.size, row};
}
