/*
 * A key's own hash says in which of many sums it counts: what the file has is added, what the aid
 * has is taken away. A sum that isn't zero then has a key too few or too many. A few hundred keys
 * share each with it even in a very large file, so a second walk over both sides tells which.
 */
#include "book/audit_find.h"

#include "base/grow.h"
#include "book/audit_impl.h"
#include "book/find_check.h"
#include "book/find_keys.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { SUMS = 1 << 16, SUSPECTS_MAX = 1 << 16, NAMED_MAX = 100 };

#define REMAKE                                                                                     \
    "To have it made anew, stop the server, run sqlite3 FILE 'DELETE FROM fresh' and start; "      \
    "until "                                                                                       \
    "something of that week is booked again, traces look through all of it"

struct audit_find {
    bool is_there;
    int64_t seed;
    uint64_t expected, there; /* keys, each counted once */
    uint32_t *hashes;         /* of the message at hand */
    size_t count, room;
    uint64_t sums[SUMS];
};

static struct find_key key_of(uint32_t hash, const struct id *message)
{
    struct find_key key;

    find_put_hash(hash, key.bytes);
    memcpy(key.bytes + FIND_HASH_BYTES, message->bytes, ID_BYTES);
    return key;
}

static uint64_t mix(const struct find_key *key)
{
    return XXH3_64bits(key->bytes, sizeof(key->bytes));
}

static uint64_t *sum_of(struct audit_find *f, const struct find_key *key)
{
    return &f->sums[mix(key) % SUMS];
}

/* ---- what the file has ---- */

int audit_find_new(struct db *db, struct audit_find **out)
{
    struct audit_find *f = calloc(1, sizeof(*f));
    int r = f ? find_check_seed(db, &f->seed) : -ENOMEM;

    if (r < 0 && !db_is_unreadable(r)) { /* else audit_find_check() tells of it */
        free(f);
        return r;
    }
    f->is_there = r == 1;
    *out = f;
    return 0;
}

void audit_find_free(struct audit_find *f)
{
    if (f)
        free(f->hashes);
    free(f);
}

int audit_find_expect(struct audit_find *f, enum find_kind kind, struct span text)
{
    if (!f->is_there || text.size == 0)
        return 0;
    uint32_t *hashes = grow_by_one(f->hashes, f->count, &f->room, sizeof(*hashes), 64);
    if (!hashes)
        return -ENOMEM;
    f->hashes = hashes;
    f->hashes[f->count++] = find_hash(f->seed, kind, text);
    return 0;
}

static int compare_hashes(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;

    return (*a > *b) - (*a < *b);
}

/* A message may have the same text twice; the aid has it once. */
void audit_find_end_message(struct audit_find *f, const struct id *message)
{
    if (f->count)
        qsort(f->hashes, f->count, sizeof(*f->hashes), compare_hashes);
    for (size_t i = 0; i < f->count; i++) {
        struct find_key key = key_of(f->hashes[i], message);
        if (i && f->hashes[i] == f->hashes[i - 1])
            continue;
        *sum_of(f, &key) += mix(&key);
        f->expected++;
    }
    f->count = 0;
}

/* ---- what the aid has ---- */

/* Added and subtracted modulo 2^64: what is on both sides is gone, in whatever order it comes. */
static void take_away(void *arg, const struct find_key *key)
{
    struct audit_find *f = arg;

    *sum_of(f, key) -= mix(key);
    f->there++;
}

/* A sum of zero can hide two faults that cancel each other, with a chance of 2^-64; the counts
 * catch what is only missing. */
static bool is_even(const struct audit_find *f)
{
    for (size_t i = 0; i < SUMS; i++)
        if (f->sums[i])
            return false;
    return f->expected == f->there;
}

/* ---- one by one ---- */

struct suspect {
    struct find_key key;
    uint8_t kind; /* enum find_kind */
};

struct suspects {
    struct audit *audit;
    struct audit_find *find;
    struct suspect *list;
    size_t count, at;
    bool more; /* there are too many to look at all */
    uint64_t missing;
};

/* Only keys whose sum isn't even: a few hundred out of millions. */
static int suspect(void *arg, enum find_kind kind, struct span text, const struct id *message)
{
    struct suspects *s = arg;
    struct find_key key = key_of(find_hash(s->find->seed, kind, text), message);

    if (*sum_of(s->find, &key) == 0)
        return 0;
    s->more = s->count == SUSPECTS_MAX;
    if (s->more)
        return 1;
    s->list[s->count++] = (struct suspect){key, (uint8_t)kind};
    return 0;
}

static int compare_suspects(const void *left, const void *right)
{
    const struct suspect *a = left, *b = right;

    return memcmp(a->key.bytes, b->key.bytes, FIND_KEY_BYTES);
}

/* Named for so many and counted beyond: a lost aid would else tell of each message of the week. */
static void tell_missing(struct suspects *s, const struct suspect *missing)
{
    const char *by = missing->kind == FIND_ADDRESS      ? "one of its addresses"
                     : missing->kind == FIND_MESSAGE_ID ? "its Message-ID"
                     : missing->kind == FIND_REMOTE_ID  ? "a remote id"
                                                        : "its session";
    char text[120];
    struct id id;

    if (++s->missing > NAMED_MAX)
        return;
    memcpy(id.bytes, missing->key.bytes + FIND_HASH_BYTES, ID_BYTES);
    snprintf(text, sizeof(text), "isn't found by %s: that is missing in the finding aid", by);
    audit_tell(s->audit, AUDIT_DAMAGE, &id, EVENT_NO_RECIPIENT, text);
}

/* Suspects up to this key, which the aid has: the others are missing. NULL: to the end. */
static void pass(struct suspects *s, const struct find_key *key)
{
    for (; s->at < s->count; s->at++) {
        const struct suspect *next = &s->list[s->at];
        int order = key ? memcmp(next->key.bytes, key->bytes, FIND_KEY_BYTES) : -1;
        if (order > 0)
            return;
        if (order < 0 && (s->at == 0 || compare_suspects(next, next - 1) != 0))
            tell_missing(s, next);
    }
}

static void is_there(void *arg, const struct find_key *key)
{
    pass(arg, key);
}

static void tell(const struct suspects *s, const char *text)
{
    audit_tell(s->audit, AUDIT_DAMAGE, NULL, EVENT_NO_RECIPIENT, text);
}

static void tell_damaged(const struct suspects *s)
{
    tell(s, "the finding aid is damaged, not the book: a trace by anything but an id may miss"
            " messages. " REMAKE);
}

/* 0: the audit goes on. */
static int tell_unreadable(const struct suspects *s, int error)
{
    if (error == -EUCLEAN)
        tell_damaged(s);
    else
        tell(s, "the finding aid can't be read from the disk, not the book: a trace by anything but"
                " an id looks at all messages");
    return 0;
}

static void tell_keys(const struct suspects *s, const char *verb, uint64_t count,
                      const char *meaning)
{
    char text[400];

    snprintf(text, sizeof(text), "the finding aid %s %llu keys%s. " REMAKE, verb,
             (unsigned long long)count, meaning);
    tell(s, text);
}

/* Those that weren't looked at count as what is more on one side. */
static void tell_sums(const struct suspects *s)
{
    uint64_t expected = s->find->expected, there = s->find->there;
    uint64_t missing = s->more && expected > there ? expected - there : s->missing;
    uint64_t surplus = there + missing > expected ? there + missing - expected : 0;

    if (missing)
        tell_keys(s, "lacks", missing,
                  ", not the book: a trace by anything but an id passes over messages");
    if (surplus)
        tell_keys(
            s, "has", surplus,
            " of what isn't in the file: values that were erased can still be tried against it");
    if (!missing && !surplus)
        tell_damaged(s);
}

static int look_closer(struct suspects *s, struct db *db)
{
    int r = find_keys(db, s, suspect);

    if (r < 0)
        return r;
    if (s->count)
        qsort(s->list, s->count, sizeof(*s->list), compare_suspects);
    r = find_check(db, s, is_there);
    if (r < 0)
        return db_is_unreadable(r) ? tell_unreadable(s, r) : r;
    pass(s, NULL);
    tell_sums(s);
    return 0;
}

/* A damaged aid isn't a damaged book: it is told, and the audit goes on. */
int audit_find_check(struct audit *audit, struct audit_find *f, struct db *db)
{
    struct suspects suspects = {.audit = audit, .find = f};
    int r = find_check(db, f, take_away);

    if (db_is_unreadable(r))
        return tell_unreadable(&suspects, r);
    if (r < 0 || !f->is_there || is_even(f))
        return r;
    suspects.list = malloc(SUSPECTS_MAX * sizeof(*suspects.list));
    r = suspects.list ? look_closer(&suspects, db) : -ENOMEM;
    free(suspects.list);
    return r;
}
