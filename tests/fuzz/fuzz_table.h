/* For targets that try codec tables: what decodes must encode again to the same bytes. */
#pragma once

#include "fuzz.h"

#include "base/codec.h"
#include <stdlib.h>

static inline void fuzz_table(const struct codec *codec, struct span in)
{
    struct arena arena = ARENA_LIMITED(8 << 20);
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
