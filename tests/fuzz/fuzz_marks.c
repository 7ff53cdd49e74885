/* Exported checkpoints: what is read must be written as one that reads the same. */
#include "fuzz.h"

#include "book/marks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct marks first, second;
    struct buffer text = BUFFER_INIT;

    marks_are_signed(span_of(data, size));
    marks_verify(span_of(data, size), SPAN("no key"));
    if (marks_parse(span_of(data, size), &first) < 0)
        return 0;
    assert(marks_format(&first, &text) == 0);
    assert(marks_parse(buffer_span(&text), &second) == 0);
    assert(first.count == second.count && strcmp(first.host, second.host) == 0);
    for (size_t i = 0; i < first.count; i++)
        assert(first.list[i].events == second.list[i].events &&
               first.list[i].week == second.list[i].week &&
               first.list[i].lane == second.list[i].lane &&
               chain_hash_equal(&first.list[i].head, &second.list[i].head));
    marks_done(&first);
    marks_done(&second);
    buffer_done(&text);
    return 0;
}
