/* Every row of the catalogue, by its own table: that the table is sound, and that the least and the
 * greatest message of each type arrive as they were sent. */
#include "../unit.h"

#include "ipc/channel.h"
#include "ipc/frame.h"
#include <errno.h>
#include <string.h>

enum { LIST_LENGTH = 3 };

static char text[IPC_PART_MAX + 1];

static uint64_t greatest(const struct codec_field *f)
{
    return f->size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * f->size) - 1;
}

static void each_table_is_sound(const struct codec *codec)
{
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *f = &codec->fields[i];
        if (f->offset + f->size > codec->size)
            fail_msg("%s: field %zu is outside", codec->name, i);
        if (f->kind == CODEC_KIND_UINT && f->max > greatest(f))
            fail_msg("%s: field %zu can't hold its maximum", codec->name, i);
        for (size_t k = 0; k < i; k++)
            if (codec->fields[k].offset == f->offset)
                fail_msg("%s: field %zu is there twice", codec->name, i);
        if (f->kind == CODEC_KIND_LIST)
            each_table_is_sound(f->element);
    }
}

/* A member that its table forgot never arrives. What no field covers must be padding: less than the
 * alignment of what comes behind it. */
static void forgets_nothing(const struct codec *codec)
{
    bool covered[4096] = {false};
    size_t gap = 0;

    assert_true(codec->size < sizeof(covered));
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *f = &codec->fields[i];
        for (size_t at = f->offset; at < f->offset + f->size; at++)
            covered[at] = true;
        for (size_t at = f->count_offset;
             f->kind == CODEC_KIND_LIST && at < f->count_offset + sizeof(size_t); at++)
            covered[at] = true;
        if (f->kind == CODEC_KIND_LIST)
            forgets_nothing(f->element);
    }
    for (size_t at = 0; at <= codec->size; at++) {
        if (at < codec->size && !covered[at]) {
            gap++;
            continue;
        }
        if (gap >= 8 || (gap && at % 2) || (gap >= 2 && at % 4) || (gap >= 4 && at % 8))
            fail_msg("%s: %zu bytes before offset %zu have no field", codec->name, gap, at);
        gap = 0;
    }
}

static void tables(void **state)
{
    for (unsigned type = 1; type < IPC_TYPE_COUNT; type++) {
        each_table_is_sound(ipc_row(type)->codec);
        forgets_nothing(ipc_row(type)->codec);
    }
}

static void names_differ_and_replies_are_asked_for(void **state)
{
    for (unsigned type = 1; type < IPC_TYPE_COUNT; type++) {
        bool asked = false;
        for (unsigned other = 1; other < IPC_TYPE_COUNT; other++) {
            asked |= ipc_row(other)->reply == type;
            if (other != type && strcmp(ipc_row(type)->name, ipc_row(other)->name) == 0)
                fail_msg("%s is there twice", ipc_row(type)->name);
        }
        if (asked != ipc_row(type)->is_reply)
            fail_msg("%s: nobody asks for it, or it is no reply", ipc_row(type)->name);
    }
}

static void each_peer_has_a_name(void **state)
{
    for (unsigned a = 0; a < IPC_PEER_COUNT; a++)
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(ipc_peer_name(a), ipc_peer_name(b));
}

/* Each field has its greatest value, each list a few elements. */
static void fill(const struct codec *codec, uint8_t *value, struct arena *arena)
{
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *f = &codec->fields[i];
        size_t count = f->max < LIST_LENGTH ? f->max : LIST_LENGTH;
        if (f->kind == CODEC_KIND_UINT) {
            memcpy(value + f->offset, &f->max, f->size);
        } else if (f->kind == CODEC_KIND_SPAN) {
            struct span span = span_of(text, f->max);
            memcpy(value + f->offset, &span, sizeof(span));
        } else if (f->kind == CODEC_KIND_LIST) {
            uint8_t *list = arena_alloc_array(arena, count, f->element->size);
            memset(list, 0, count * f->element->size);
            for (size_t k = 0; k < count; k++)
                fill(f->element, list + k * f->element->size, arena);
            memcpy(value + f->offset, &list, sizeof(list));
            memcpy(value + f->count_offset, &count, sizeof(count));
        } else {
            memset(value + f->offset, 0xa5, f->size);
        }
    }
}

/* Sends it and sends again what arrived: the bytes are the same. */
static void travels(const struct ipc_message *message)
{
    struct buffer wire = BUFFER_INIT, again = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct ipc_message back;
    struct ipc_frame frame;
    size_t needed;

    assert_int_equal(ipc_frame_encode(message, 7, false, &wire), 0);
    assert_int_equal(ipc_frame_parse(buffer_span(&wire), IPC_FRAME_MAX, &frame, &needed), 1);
    if (ipc_frame_decode(&frame, &arena, &back) != 0)
        fail_msg("%s is not understood", ipc_row(message->type)->name);
    assert_int_equal(back.type, message->type);
    assert_int_equal(ipc_frame_encode(&back, 7, false, &again), 0);
    assert_int_equal(again.size, wire.size);
    assert_memory_equal(again.data, wire.data, wire.size);
    buffer_done(&wire);
    buffer_done(&again);
    arena_done(&arena);
}

static void the_least_and_the_greatest_travel(void **state)
{
    memset(text, 'x', sizeof(text));
    for (unsigned type = 1; type < IPC_TYPE_COUNT; type++) {
        struct ipc_message message = {.type = type};
        struct arena arena = ARENA_INIT;
        travels(&message);
        fill(ipc_row(type)->codec, (uint8_t *)&message.nothing, &arena);
        travels(&message);
        arena_done(&arena);
    }
}

/* What is over its maximum is found by the sender, and nothing of it is sent. */
static void one_more_is_refused(const struct ipc_message *message, const struct codec_field *f)
{
    struct ipc_message wrong = *message;
    uint8_t *at = (uint8_t *)&wrong.nothing + f->offset;
    struct buffer wire = BUFFER_INIT;

    if (f->kind == CODEC_KIND_UINT && f->max < greatest(f)) {
        uint64_t value = f->max + 1;
        memcpy(at, &value, f->size);
    } else if (f->kind == CODEC_KIND_SPAN) {
        struct span span = span_of(text, f->max + 1);
        memcpy(at, &span, sizeof(span));
    } else {
        return;
    }
    if (ipc_frame_encode(&wrong, 7, false, &wire) != -EINVAL)
        fail_msg("%s: the field at %u may be greater than its maximum",
                 ipc_row(message->type)->name, f->offset);
    assert_int_equal(wire.size, 0);
    buffer_done(&wire);
}

static void maxima_are_kept(void **state)
{
    for (unsigned type = 1; type < IPC_TYPE_COUNT; type++) {
        const struct codec *codec = ipc_row(type)->codec;
        const struct ipc_message message = {.type = type};
        for (size_t i = 0; i < codec->field_count; i++)
            one_more_is_refused(&message, &codec->fields[i]);
    }
}

static uint64_t most_bytes(const struct codec *codec)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *f = &codec->fields[i];
        bytes += f->kind == CODEC_KIND_SPAN   ? 4 + f->max
                 : f->kind == CODEC_KIND_LIST ? 4 + f->max * most_bytes(f->element)
                                              : f->size;
    }
    return bytes;
}

/* A frame that is too long ends its channel. Of these types the tables allow more than a frame; who
 * makes them keeps within it by limits of his own: an alias has at most PEOPLE_EXPANSION_MAX
 * addresses, an answer of the DNS 64 KB, and a question for the way of an address has few hops. */
static void all_others_fit_into_a_frame(void **state)
{
    for (unsigned type = 1; type < IPC_TYPE_COUNT; type++) {
        bool has_own_limit = type == IPC_EXPANDED || type == IPC_JOB_RESULT ||
                             type == IPC_RESOLVED || type == IPC_ROUTE_TOLD;
        if (!has_own_limit && most_bytes(ipc_row(type)->codec) > IPC_FRAME_MAX)
            fail_msg("%s may be longer than a frame", ipc_row(type)->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables),
        cmocka_unit_test(names_differ_and_replies_are_asked_for),
        cmocka_unit_test(each_peer_has_a_name),
        cmocka_unit_test(the_least_and_the_greatest_travel),
        cmocka_unit_test(maxima_are_kept),
        cmocka_unit_test(all_others_fit_into_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
