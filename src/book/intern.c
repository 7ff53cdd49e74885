#include "book/intern.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

enum { SLOTS = 1 << 15, TEXT_MAX = 512 };

struct slot {
    char *text;
    size_t size;
    int64_t row;
};

struct intern {
    struct slot slots[SLOTS];
};

int intern_new(struct intern **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? 0 : -ENOMEM;
}

void intern_free(struct intern *intern)
{
    for (size_t i = 0; intern && i < SLOTS; i++)
        free(intern->slots[i].text);
    free(intern);
}

static size_t slot_of(struct span text)
{
    return XXH3_64bits(text.data, text.size) % SLOTS;
}

int64_t intern_find(const struct intern *intern, struct span text)
{
    const struct slot *slot = &intern->slots[slot_of(text)];

    if (!slot->text || !span_equal(span_of(slot->text, slot->size), text))
        return 0;
    return slot->row;
}

void intern_remember(struct intern *intern, struct span text, int64_t row)
{
    struct slot *slot = &intern->slots[slot_of(text)];

    if (text.size > TEXT_MAX)
        return;
    char *copy = malloc(text.size + 1);
    if (!copy)
        return;
    if (text.size)
        memcpy(copy, text.data, text.size);
    free(slot->text);
    *slot = (struct slot){copy, text.size, row};
}
