/* Pages and summaries of the queue as a terminal and a program see them: whatever the fields hold,
 * no control reaches the terminal, and JSON stays JSON. The first byte chooses. */
#include "fuzz_fill.h"

#include "cli/queue_print.h"
#include <stdio.h>
#include <stdlib.h>

FUZZ_UNSEEN static void check_text(struct span text)
{
    while (text.size) {
        unsigned char c = (unsigned char)text.data[0];
        assert(c == '\n' || (c >= ' ' && c != 127));
        text = span_from(text, 1);
    }
}

static void check_json(json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);

    assert(text);
    json_t *again = json_loads(text, JSON_ALLOW_NUL, NULL);
    assert(again && json_equal(again, value));
    json_decref(again);
    json_decref(value);
    free(text);
}

static void print_page(struct span in, struct arena *arena, bool full)
{
    struct ipc_queue_page page = {0};
    struct trace_event event = {.kind = fuzz_take(&in) % EVENT_KIND_COUNT};
    struct trace_entry entry = {.state = RECIPIENT_WAITING, .events = &event, .event_count = 1};

    event.host = fuzz_take_span(&in, arena, 100);
    event.reply = fuzz_take_span(&in, arena, 100);
    fuzz_fill(&ipc_queue_page_codec, &in, arena, &page);
    for (size_t i = 0; i < page.row_count && full; i++)
        queue_print_full(&page.rows[i], i ? &entry : NULL, page.now_us, i == 0);
    if (!full)
        assert(queue_print_page(&page, true) == 0);
    for (size_t i = 0; i < page.row_count; i++)
        check_json(queue_row_json_full(&page.rows[i], i ? &entry : NULL));
}

static void print_summary(struct span in, struct arena *arena)
{
    struct ipc_queue_summary summary = {0};

    fuzz_fill(&ipc_queue_summary_codec, &in, arena, &summary);
    assert(queue_print_summary(&summary) == 0);
    check_json(queue_summary_json(&summary));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = ARENA_INIT;
    FILE *terminal = stdout;
    char *text = NULL;
    size_t text_size = 0;

    if (size == 0)
        return 0;
    stdout = open_memstream(&text, &text_size);
    assert(stdout);
    if (data[0] % 3 == 2)
        print_summary(span_of(data + 1, size - 1), &arena);
    else
        print_page(span_of(data + 1, size - 1), &arena, data[0] % 3 == 1);
    fclose(stdout);
    stdout = terminal;
    check_text(span_of(text, text_size));
    free(text);
    arena_done(&arena);
    return 0;
}
