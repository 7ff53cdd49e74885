/* The trust anchor's file: each record is one line without controls that make a second one. */
#include "fuzz.h"

#include "conf/anchor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_of(data, size);
    struct buffer line = BUFFER_INIT;
    size_t total = 0;

    while (anchor_next(&rest, &line)) {
        assert(line.size > 0);
        for (size_t i = 0; i < line.size; i++)
            assert(!line.data[i] || !strchr("\r\n\t();", line.data[i]));
        total += line.size;
    }
    assert(rest.size == 0 && total <= size);
    buffer_done(&line);
    return 0;
}
