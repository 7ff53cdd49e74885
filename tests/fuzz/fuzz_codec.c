/*
 * Every codec table that is exported: the first byte picks the table, the rest is the value. What
 * decodes must encode again to the same bytes.
 */
#include "fuzz_table.h"

#include "mail/envelope.h"
#include "mail/event.h"

static const struct codec *const tables[] = {&envelope_codec, &event_codec};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] < ARRAY_SIZE(tables))
        fuzz_table(tables[data[0]], span_of(data + 1, size - 1));
    return 0;
}
