/* Ids as text: what is read must be written as the same id, in capitals. */
#include "fuzz.h"

#include "base/id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct id id, again;
    char text[ID_TEXT + 1];

    if (id_parse(span_of(data, size), &id) < 0)
        return 0;
    id_format(&id, text);
    assert(id_parse(span_of(text, ID_TEXT), &again) == 0);
    assert(id_equal(&id, &again));
    return 0;
}
