/* What the tests of the book share: a temporary ledger, and inputs with few words. */
#pragma once

#include "../unit.h"

#include "book/fold.h"
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Monday of 2026-W47, 00:00 UTC is 2026-11-16; this is Saturday 2026-11-21 18:00:03.120 UTC. */
#define TEST_NOW_US (INT64_C(1795284003120) * 1000)
#define TEST_SECOND INT64_C(1000000)
#define TEST_DAY (86400 * TEST_SECOND)

static char test_folder[64];

static inline int test_remove_one(const char *path, const struct stat *st, int type,
                                  struct FTW *ftw)
{
    return remove(path);
}

static inline int test_ledger_make(void **state)
{
    /* In memory where that is possible: these tests sync a lot and prove nothing about disks. */
    strcpy(test_folder, "/dev/shm/postbuch-book-XXXXXX");
    if (mkdtemp(test_folder))
        return 0;
    strcpy(test_folder, "/tmp/postbuch-book-XXXXXX");
    return mkdtemp(test_folder) ? 0 : -1;
}

static inline int test_ledger_remove(void **state)
{
    return nftw(test_folder, test_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* What the fold that was opened last has to tell. */
static struct ledger_told test_told;

static inline struct fold *test_fold_open(void)
{
    struct fold *fold = NULL;

    test_told = (struct ledger_told){.damage = ""};
    assert_int_equal(fold_open(test_folder, TEST_NOW_US, &test_told, &fold), 0);
    return fold;
}

static inline struct id test_id_at(int64_t wall_us, unsigned number)
{
    struct id_maker maker;
    id_maker_init(&maker, 1, number);
    return id_make(&maker, wall_us);
}

static inline struct id test_id(unsigned number)
{
    return test_id_at(TEST_NOW_US, number);
}

/* A message from anna to `count` recipients of its own arrays. */
struct test_message {
    struct envelope envelope;
    struct envelope_recipient recipients[4];
};

static inline void test_message_at(struct test_message *m, int64_t wall_us, unsigned number,
                                   size_t count)
{
    static const char *const addresses[] = {"bob@aaa.example", "carl@bbb.example",
                                            "dora@aaa.example", "emil@ccc.example"};
    *m = (struct test_message){0};
    for (size_t i = 0; i < count; i++) {
        m->recipients[i].address = m->recipients[i].original = span_from_cstr(addresses[i]);
        memset(m->recipients[i].key, (int)(number * 16 + i + 1), ENVELOPE_KEY_BYTES);
    }
    m->envelope = (struct envelope){
        .id = test_id_at(wall_us, number),
        .accepted_us = wall_us,
        .sender = SPAN("anna@bbb.example"),
        .recipients = m->recipients,
        .recipient_count = count,
        .size_bytes = 4211,
        .digest = {9, 8, 7},
        .message_id = SPAN("<one@bbb.example>"),
        .client = {.session = test_id_at(wall_us, 1000 + number),
                   .ip = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 7},
                   .port = 4711,
                   .uid = EVENT_NO_ACTOR,
                   .service = SPAN("mx"),
                   .helo = SPAN("mx.bbb.example"),
                   .protocol = SPAN("ESMTPS"),
                   .tls = SPAN("TLSv1.3"),
                   .auth = SPAN("anna")},
    };
}

static inline struct book_input test_input_message(uint64_t offset, const struct test_message *m)
{
    return (struct book_input){
        .kind = BOOK_MESSAGE, .end = {.segment = 1, .offset = offset}, .message = &m->envelope};
}

static inline struct book_status test_status(struct id message, uint32_t index,
                                             enum event_kind kind)
{
    bool here = kind == EVENT_DELIVERED;
    return (struct book_status){
        .message = message,
        .recipient_index = index,
        .kind = (uint8_t)kind,
        .time_us = TEST_NOW_US + TEST_SECOND,
        .next_attempt_us = kind == EVENT_DEFERRED ? TEST_NOW_US + 300 * TEST_SECOND : 0,
        .host = here ? SPAN("mail.aaa.example") : SPAN("mx1.bbb.example"),
        .ip = {[10] = here ? 0 : 0xff, [11] = here ? 0 : 0xff, [12] = here ? 0 : 10},
        .reply = here ? SPAN("stored") : SPAN("451 4.4.1 try again"),
        .status = here ? SPAN("2.0.0") : SPAN("4.4.1"),
        .remote_id = kind == EVENT_RELAYED ? SPAN("1322454835128") : (struct span){0},
        .tls = here ? (struct span){0} : SPAN("TLSv1.3"),
        .actor_uid = EVENT_NO_ACTOR,
    };
}

static inline struct event test_refusal(unsigned number, const char *recipient)
{
    return (struct event){
        .kind = EVENT_REFUSED,
        .time_us = TEST_NOW_US,
        .count = 1,
        .reference = test_id(5000 + number),
        .session = test_id(7000),
        .recipient_index = EVENT_NO_RECIPIENT,
        .key = {1, (uint8_t)number},
        .ip = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 9},
        .port = 999,
        .actor_uid = EVENT_NO_ACTOR,
        .service = SPAN("mx"),
        .helo = SPAN("evil.example"),
        .sender = SPAN("spam@evil.example"),
        .recipient = span_from_cstr(recipient),
        .phase = SPAN("rcpt"),
        .reply = SPAN("550 5.1.1 no such mailbox"),
    };
}

/* One number out of a file of the ledger. */
static inline int64_t test_number(const char *file, const char *sql)
{
    struct db db;
    char path[256];
    int64_t number = -1;

    snprintf(path, sizeof(path), "%s/%s", test_folder, file);
    assert_int_equal(db_open(path, DB_READ, NULL, 0, &db), 0);
    assert_int_equal(db_number(&db, sql, &number), 0);
    db_done(&db);
    return number;
}

/* What an intruder with a tool of his own would do. */
static inline void test_tamper(const char *file, const char *sql)
{
    struct db db;
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", test_folder, file);
    assert_int_equal(db_open(path, DB_WRITE, NULL, 0, &db), 0);
    assert_int_equal(db_exec(&db, sql), 0);
    db_done(&db);
}

#define TEST_WEEK "book-2026-W47.sqlite"
#define TEST_REFUSALS "refusals-2026-W47.sqlite"

/* What erasing all persons of the week leaves of it. */
static inline void test_erase_persons(void)
{
    test_tamper(TEST_WEEK, "UPDATE entry SET key = NULL, recipient = NULL, original = NULL;"
                           "UPDATE event SET reply = NULL WHERE message IS NOT NULL;"
                           "UPDATE message SET sender = NULL, message_id = NULL, helo = NULL,"
                           " ip = NULL, auth = NULL;"
                           "UPDATE station SET ip = NULL;"
                           "DELETE FROM fresh; DELETE FROM run; DELETE FROM find");
}

static inline void test_fold_one(struct fold *fold, const struct book_input *input)
{
    assert_int_equal(fold_input(fold, input, TEST_NOW_US), 0);
}

static inline void test_fold_status(struct fold *fold, uint64_t offset,
                                    const struct book_status *status)
{
    struct book_input input = {
        .kind = BOOK_STATUS, .end = {.segment = 1, .offset = offset}, .status = status};
    test_fold_one(fold, &input);
}

static inline void test_fold_event(struct fold *fold, uint64_t offset, const struct event *event)
{
    struct book_input input = {
        .kind = BOOK_EVENT, .end = {.segment = 1, .offset = offset}, .event = event};
    test_fold_one(fold, &input);
}

static inline void test_commit(struct fold *fold)
{
    assert_int_equal(fold_commit(fold, TEST_NOW_US), 0);
}
