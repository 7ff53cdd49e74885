/*
 * Every codec table that is exported: the first byte picks the table, the rest is the value. What
 * decodes must encode again to the same bytes.
 */
#include "fuzz.h"

#include "mail/envelope.h"
#include "mail/event.h"
#include <stdlib.h>

static const struct codec *const tables[] = {&envelope_codec, &event_codec};

static void try_table(const struct codec *codec, struct span in)
{
    struct arena arena = ARENA_LIMITED(4 << 20);
    struct buffer again = BUFFER_INIT;
    void *value = calloc(1, codec->size);

    assert(value);
    if (codec_decode(codec, in, &arena, value) == 0) {
        assert(codec_encode(codec, value, &again) == 0);
        /* A value of an older version lacks its end; encoded, it has it. */
        assert(codec->optional_from ? again.size >= in.size : again.size == in.size);
        assert(in.size == 0 || memcmp(again.data, in.data, in.size) == 0);
    }
    free(value);
    buffer_done(&again);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] < ARRAY_SIZE(tables))
        try_table(tables[data[0]], span_of(data + 1, size - 1));
    return 0;
}
