/* Files of the drop folder: nothing that is read could break out of an SMTP command. */
#include "fuzz.h"

#include "cli/drop.h"

static void check_word(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        assert((unsigned char)s.data[i] >= ' ' && s.data[i] != 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT;
    struct submission s;

    if (drop_parse(span_of(data, size), &arena, &s) == 0) {
        assert(s.recipient_count > 0 && s.recipient_count <= DROP_RECIPIENTS_MAX);
        check_word(s.sender);
        check_word(s.notify);
        check_word(s.ret);
        check_word(s.envid);
        check_word(s.owner);
        for (size_t i = 0; i < s.recipient_count; i++)
            check_word(s.recipients[i]);
    }
    arena_done(&arena);
    return 0;
}
