/*
 * Changes to a users file: what isn't touched stays byte for byte; who was added is there, once;
 * removed again, the file is as it was. Input: an address, verifiers and senders, each ended by LF,
 * then the file.
 */
#include "fuzz.h"

#include "people/users_edit.h"
#include <errno.h>

struct seen {
    struct span address;
    size_t all, same;
};

static void count(void *arg, const struct users_line *line)
{
    struct seen *seen = arg;

    seen->all++;
    seen->same += span_equal_nocase(address_text(&line->address), seen->address);
}

static struct seen look(struct span text, const struct address *address)
{
    struct seen seen = {.address = address_text(address)};

    users_each(text, count, &seen);
    return seen;
}

static struct span take_line(struct span *in)
{
    ptrdiff_t lf = span_find(*in, '\n');
    struct span line = lf < 0 ? *in : span_first(*in, (size_t)lf);

    *in = span_from(*in, line.size + 1);
    return line;
}

static void check_add(struct span text, const struct address *address, struct span verifiers,
                      struct span senders)
{
    struct buffer added = BUFFER_INIT, removed = BUFFER_INIT;
    struct seen before = look(text, address);
    int r = users_edit_add(text, address, verifiers, senders, &added);

    assert((r == -EEXIST) == (before.same > 0));
    if (r == 0) {
        struct seen after = look(buffer_span(&added), address);
        assert(after.same == 1 && after.all == before.all + 1);
        assert(span_equal(span_first(buffer_span(&added), text.size), text));
        assert(users_edit_remove(buffer_span(&added), address, &removed) == 0);
        assert(span_equal(span_first(buffer_span(&removed), text.size), text));
        assert(removed.size <= text.size + 1 || text.size == 0);
        assert(removed.size > 0);
    }
    buffer_done(&added);
    buffer_done(&removed);
}

static void check_change(struct span text, const struct address *address)
{
    struct buffer out = BUFFER_INIT;
    struct seen before = look(text, address);
    int r = users_edit_verifiers(text, address, SPAN("*"), &out);

    assert((r == -ENOENT) == (before.same == 0));
    struct seen after = look(buffer_span(&out), address);
    assert(after.all == before.all && after.same == before.same);
    assert(r == 0 || span_equal(buffer_span(&out), text));
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    struct span name = take_line(&text), verifiers = take_line(&text), senders = take_line(&text);
    struct address address;

    if (address_parse(name, ADDRESS_ALLOW_UTF8, &address) != ADDRESS_OK)
        return 0;
    check_add(text, &address, verifiers, senders);
    check_change(text, &address);
    return 0;
}
