#include "proc/mailbox/record.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Without a secret: whoever found addresses whose hashes fall together would need thousands of
 * mailboxes, for a look-up of a millisecond. */
static uint64_t hash(const char *path)
{
    return XXH3_64bits(path, strlen(path));
}

struct mailbox_record *mailbox_record_new(const struct mailbox_root *root, const char *path)
{
    struct mailbox_record *record = calloc(1, sizeof(*record));
    char *copy = strdup(path);

    if (!record || !copy) {
        free(record);
        free(copy);
        return NULL;
    }
    record->root = root;
    record->path = copy;
    record->hash = hash(path);
    mailbox_usage_init(&record->usage);
    return record;
}

void mailbox_record_free(struct mailbox_record *record)
{
    if (!record)
        return;
    mailbox_usage_done(&record->usage);
    free(record->path);
    free(record);
}

bool mailbox_record_is_same(const struct mailbox_record *a, const struct mailbox_record *b)
{
    return memcmp(&a->identity, &b->identity, sizeof(a->identity)) == 0;
}

void mailbox_records_init(struct mailbox_records *records, size_t max)
{
    *records = (struct mailbox_records){.max = max};
    list_init(&records->recent);
    numbers_init(&records->by_hash);
}

void mailbox_records_done(struct mailbox_records *records)
{
    for (struct list *link; (link = list_take_first(&records->recent));)
        mailbox_record_free(CONTAINER_OF(link, struct mailbox_record, link));
}

/* Freed now or with its last reference. */
static void forget(struct mailbox_records *records, struct mailbox_record *record)
{
    list_remove(&record->link);
    list_remove(&record->by_hash);
    records->count--;
    if (record->references == 0)
        mailbox_record_free(record);
}

/* From the longest unused one on, past those of the open folders. */
static void shrink(struct mailbox_records *records)
{
    struct list *link = records->recent.prev;

    while (records->count > records->max && link != &records->recent) {
        struct mailbox_record *record = CONTAINER_OF(link, struct mailbox_record, link);
        link = link->prev;
        if (record->references == 0)
            forget(records, record);
    }
}

static struct mailbox_record *find(struct mailbox_records *records,
                                   const struct mailbox_record *like)
{
    LIST_EACH(numbers_list(&records->by_hash, like->hash), link)
    {
        struct mailbox_record *record = CONTAINER_OF(link, struct mailbox_record, by_hash);
        if (record->hash == like->hash && record->root == like->root &&
            strcmp(record->path, like->path) == 0)
            return record;
    }
    return NULL;
}

static void insert(struct mailbox_records *records, struct mailbox_record *record)
{
    list_prepend(&records->recent, &record->link);
    list_append(numbers_list(&records->by_hash, record->hash), &record->by_hash);
    records->count++;
}

struct mailbox_record *mailbox_records_adopt(struct mailbox_records *records,
                                             struct mailbox_record *fresh)
{
    struct mailbox_record *known = find(records, fresh);

    if (known && mailbox_record_is_same(known, fresh)) {
        mailbox_record_free(fresh);
        list_remove(&known->link);
        list_prepend(&records->recent, &known->link);
        known->references++;
        return known;
    }
    if (known)
        forget(records, known); /* another folder is there now */
    fresh->references = 1;
    insert(records, fresh);
    shrink(records);
    return fresh;
}

void mailbox_records_release(struct mailbox_records *records, struct mailbox_record *record)
{
    if (--record->references == 0 && !list_is_linked(&record->link))
        mailbox_record_free(record);
}
