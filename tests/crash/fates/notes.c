#include "notes.h"

#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void notes_init(struct notes *notes)
{
    *notes = (struct notes){0};
    for (size_t i = 0; i < NOTES_BUCKETS; i++)
        list_init(&notes->buckets[i]);
}

static void free_letter(struct letter *letter)
{
    for (size_t i = 0; i < letter->fate_count; i++)
        free(letter->fates[i].attempts);
    free(letter->fates);
    free(letter->named);
    free(letter);
}

void notes_done(struct notes *notes)
{
    for (size_t i = 0; i < notes->letter_count; i++)
        free_letter(notes->letters[i]);
    free(notes->letters);
    free(notes->attempts);
}

void notes_fail(struct notes *notes, const char *format, ...)
{
    va_list arguments;

    if (notes->failure[0])
        return;
    va_start(arguments, format);
    vsnprintf(notes->failure, sizeof(notes->failure), format, arguments);
    va_end(arguments);
}

/* Room for one more, at each power of two. */
static void *grow(void *array, size_t count, size_t size)
{
    if (count & (count - 1) || count == 1)
        return array;
    array = realloc(array, (count ? 2 * count : 2) * size);
    assert(array);
    return array;
}

static struct list *bucket_of(const struct notes *notes, const struct id *id)
{
    size_t hash = (size_t)id->bytes[ID_BYTES - 1] | (size_t)id->bytes[ID_BYTES - 2] << 8;
    return (struct list *)&notes->buckets[hash % NOTES_BUCKETS];
}

struct letter *notes_letter(struct notes *notes, const struct id *id, struct span sender)
{
    struct letter *letter = calloc(1, sizeof(*letter));

    assert(letter);
    letter->id = *id;
    snprintf(letter->sender, sizeof(letter->sender), SPAN_FMT, SPAN_ARG(sender));
    notes->letters = grow(notes->letters, notes->letter_count, sizeof(*notes->letters));
    notes->letters[notes->letter_count++] = letter;
    list_append(bucket_of(notes, id), &letter->link);
    return letter;
}

struct letter *notes_find(const struct notes *notes, const struct id *id)
{
    LIST_EACH(bucket_of(notes, id), link)
    {
        struct letter *letter = CONTAINER_OF(link, struct letter, link);
        if (id_equal(&letter->id, id))
            return letter;
    }
    return NULL;
}

struct fate *notes_add_fate(struct letter *letter, struct span address)
{
    letter->fates = grow(letter->fates, letter->fate_count, sizeof(*letter->fates));
    struct fate *fate = &letter->fates[letter->fate_count++];

    *fate = (struct fate){0};
    snprintf(fate->address, sizeof(fate->address), SPAN_FMT, SPAN_ARG(address));
    return fate;
}

struct fate *notes_fate_named(struct letter *letter, const char *address)
{
    for (size_t i = 0; i < letter->fate_count; i++)
        if (strcmp(letter->fates[i].address, address) == 0)
            return &letter->fates[i];
    return NULL;
}

void notes_name(struct letter *report, struct span address)
{
    report->named = grow(report->named, report->named_count, sizeof(*report->named));
    snprintf(report->named[report->named_count++], NOTES_ADDRESS, SPAN_FMT, SPAN_ARG(address));
}

struct attempt *notes_last_attempt(const struct notes *notes, const struct fate *fate)
{
    return fate->attempt_count ? &notes->attempts[fate->attempts[fate->attempt_count - 1]] : NULL;
}

struct attempt *notes_attempt(struct notes *notes, struct fate *fate)
{
    notes->attempts = grow(notes->attempts, notes->attempt_count, sizeof(*notes->attempts));
    fate->attempts = grow(fate->attempts, fate->attempt_count, sizeof(*fate->attempts));
    fate->attempts[fate->attempt_count++] = notes->attempt_count;
    struct attempt *attempt = &notes->attempts[notes->attempt_count++];
    *attempt = (struct attempt){.serial = notes->attempt_count};
    return attempt;
}

const char *notes_text(const struct letter *letter)
{
    static char text[ID_TEXT + 1];

    id_format(&letter->id, text);
    return text;
}
