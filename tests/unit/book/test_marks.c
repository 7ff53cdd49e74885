/* Exported ends of chains: text and back, signatures, and what they show that the book alone
 * can't. */
#include "ledger_test.h"

#include "book/audit.h"
#include <openssl/evp.h>
#include <openssl/pem.h>

/* ---- text ---- */

static struct marks some_marks(void)
{
    struct marks m = {.time_us = TEST_NOW_US, .host = "mail.aaa.example"};

    for (unsigned i = 0; i < 100; i++) {
        struct mark one = {.kind = i % 2 ? WEEK_REFUSALS : WEEK_ENTRIES,
                           .week = week_of_us(TEST_NOW_US) - (int)i / 2,
                           .lane = i % 3 ? i : UINT32_MAX,
                           .events = i == 7 ? UINT64_MAX : i * 1000 + 1};
        memset(one.head.bytes, (int)i * 7, sizeof(one.head.bytes));
        assert_int_equal(marks_add(&m, &one), 0);
    }
    return m;
}

static struct buffer text_of(const struct marks *m)
{
    struct buffer text = BUFFER_INIT;
    assert_int_equal(marks_format(m, &text), 0);
    return text;
}

static void text_and_back(void **state)
{
    struct marks before = some_marks(), after;
    struct buffer text = text_of(&before);

    assert_true(span_starts_nocase(buffer_span(&text), SPAN("postbuch checkpoint 1\ntime 2026-11-2"
                                                            "1T18:00:03.120Z\nhost mail.aaa."
                                                            "example\nchain book-2026-W47.sqlite "
                                                            "4294967295 1 0000")));
    assert_int_equal(marks_parse(buffer_span(&text), &after), 0);
    assert_int_equal(after.count, before.count);
    assert_int_equal(after.time_us, before.time_us);
    assert_string_equal(after.host, before.host);
    for (size_t i = 0; i < before.count; i++) {
        assert_int_equal(after.list[i].kind, before.list[i].kind);
        assert_int_equal(after.list[i].week, before.list[i].week);
        assert_int_equal(after.list[i].lane, before.list[i].lane);
        assert_int_equal(after.list[i].events, before.list[i].events);
        assert_true(chain_hash_equal(&after.list[i].head, &before.list[i].head));
    }
    assert_false(marks_are_signed(buffer_span(&text)));
    marks_done(&before);
    marks_done(&after);
    buffer_done(&text);
}

/* What is cut off in a line is none; between lines it is a smaller one, which only a signature
 * tells. */
static void what_is_cut_off_is_none(void **state)
{
    struct marks before = some_marks(), after;
    struct buffer text = text_of(&before);

    for (size_t size = 0; size < text.size; size++) {
        char *copy = malloc(size + 1);
        memcpy(copy, text.data, size);
        int r = marks_parse(span_of(copy, size), &after);
        assert_int_equal(r, size && copy[size - 1] == '\n' ? 0 : -EINVAL);
        if (r == 0)
            marks_done(&after);
        free(copy);
    }
    marks_done(&before);
    buffer_done(&text);
}

static void strange_text_is_none(void **state)
{
    static const char head[] = "postbuch checkpoint 1\n";
    static const char *const cases[] = {
        "nonsense\n",
        "time yesterday\n",
        "host a b\n",
        "host \x01\n",
        "chain\n",
        "chain x 0 1 00\n",
        "chain book-2026-W47.sqlite 0 1 00\n",
        "chain book-2026-W47.sqlite 4294967296 1 "
        "0000000000000000000000000000000000000000000000000000000000000000\n",
        "chain book-2026-W47.sqlite 0 18446744073709551616 "
        "0000000000000000000000000000000000000000000000000000000000000000\n",
        "chain book-2026-W47.sqlite 0 -1 "
        "0000000000000000000000000000000000000000000000000000000000000000\n",
        "chain book-2026-W47.sqlite 0 1 "
        "00000000000000000000000000000000000000000000000000000000000000zz\n",
        "chain ../../../../etc/passwd 0 1 "
        "0000000000000000000000000000000000000000000000000000000000000000\n",
    };
    struct marks m;
    char text[400];

    assert_int_equal(marks_parse(SPAN("postbuch checkpoint 2\n"), &m), -EINVAL);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        snprintf(text, sizeof(text), "%s%s", head, cases[i]);
        if (marks_parse(span_from_cstr(text), &m) != -EINVAL)
            fail_msg("was taken: %s", cases[i]);
    }
}

/* ---- signatures ---- */

struct keys {
    char private[512], public[512];
};

static void to_pem(EVP_PKEY *key, bool private, char out[static 512])
{
    BIO *bio = BIO_new(BIO_s_mem());
    int ok = private ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                     : PEM_write_bio_PUBKEY(bio, key);

    assert_int_equal(ok, 1);
    out[BIO_read(bio, out, 511)] = '\0';
    BIO_free(bio);
}

static struct keys make_keys(const char *type)
{
    struct keys keys;
    EVP_PKEY *key = strcmp(type, "EC") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, type, "P-256")
                                            : EVP_PKEY_Q_keygen(NULL, NULL, type);

    assert_non_null(key);
    to_pem(key, true, keys.private);
    to_pem(key, false, keys.public);
    EVP_PKEY_free(key);
    return keys;
}

static void signature_covers_every_byte(void **state)
{
    struct keys keys = make_keys("ED25519"), others = make_keys("ED25519");
    struct marks before = some_marks(), after;
    struct buffer text = text_of(&before);

    assert_int_equal(marks_verify(buffer_span(&text), span_from_cstr(keys.public)), -ENOKEY);
    assert_int_equal(marks_sign(&text, span_from_cstr(keys.private)), 0);
    assert_true(marks_are_signed(buffer_span(&text)));
    assert_int_equal(marks_verify(buffer_span(&text), span_from_cstr(keys.public)), 0);
    assert_int_equal(marks_verify(buffer_span(&text), span_from_cstr(others.public)), -EBADMSG);
    assert_int_equal(marks_parse(buffer_span(&text), &after), 0);
    assert_int_equal(after.count, before.count);
    marks_done(&after);
    for (size_t i = 0; i < text.size; i++) {
        text.data[i] ^= 1;
        assert_int_not_equal(marks_verify(buffer_span(&text), span_from_cstr(keys.public)), 0);
        text.data[i] ^= 1;
    }
    buffer_append_span(&text, SPAN("host other.example\n")); /* behind the signature */
    assert_int_not_equal(marks_verify(buffer_span(&text), span_from_cstr(keys.public)), 0);
    assert_int_equal(marks_parse(buffer_span(&text), &after), -EINVAL);
    marks_done(&before);
    buffer_done(&text);
}

static void only_ed25519_keys(void **state)
{
    struct keys other = make_keys("EC"), keys = make_keys("ED25519");
    struct marks marks = some_marks();
    struct buffer text = text_of(&marks);

    assert_int_equal(marks_sign(&text, span_from_cstr(other.private)), -EKEYREJECTED);
    assert_int_equal(marks_sign(&text, SPAN("no key")), -EKEYREJECTED);
    assert_int_equal(marks_sign(&text, span_from_cstr(keys.public)), -EKEYREJECTED);
    assert_int_equal(marks_sign(&text, span_from_cstr(keys.private)), 0);
    assert_int_equal(marks_verify(buffer_span(&text), span_from_cstr(other.public)), -EKEYREJECTED);
    assert_int_equal(marks_verify(buffer_span(&text), (struct span){0}), -EKEYREJECTED);
    marks_done(&marks);
    buffer_done(&text);
}

/* ---- the audit ---- */

struct told {
    unsigned findings, checkpoints;
};

static void on_found(void *arg, const struct audit_finding *finding)
{
    struct told *told = arg;

    told->findings++;
    told->checkpoints += finding->kind == AUDIT_CHECKPOINT;
}

static struct audit_counts audit(struct told *told, const struct marks *expected,
                                 struct marks *reached, int64_t since_us)
{
    struct audit_counts counts;
    struct audit_options options = {.now_us = TEST_NOW_US,
                                    .since_us = since_us,
                                    .overdue_us = TEST_DAY,
                                    .arg = told,
                                    .found = on_found,
                                    .expected = expected,
                                    .reached = reached};
    *told = (struct told){0};
    assert_int_equal(audit_run(test_folder, &options, &counts), 0);
    assert_int_equal(counts.findings, told->findings);
    return counts;
}

/* Ten messages; the first `delivered` of them were. */
static void fold_messages(const char *reply, unsigned count, unsigned delivered)
{
    struct fold *fold = test_fold_open();
    struct test_message m[10];

    for (unsigned i = 0; i < count; i++) {
        test_message_at(&m[i], TEST_NOW_US, i + 1, 1);
        struct book_input input = test_input_message(100 * (i + 1), &m[i]);
        test_fold_one(fold, &input);
    }
    for (unsigned i = 0; i < delivered; i++) {
        struct book_status status = test_status(m[i].envelope.id, 0, EVENT_DELIVERED);
        status.reply = span_from_cstr(reply);
        test_fold_status(fold, 2000 + 100 * i, &status);
    }
    struct event refusal = test_refusal(1, "x@aaa.example");
    test_fold_event(fold, 9000, &refusal);
    test_commit(fold);
    fold_close(fold);
}

static void chains_that_grew_are_found_again(void **state)
{
    struct marks marks = {.count = 0};
    struct told told;

    fold_messages("stored", 10, 3);
    audit(&told, NULL, &marks, 0);
    assert_int_equal(marks.count, 2);
    fold_messages("stored", 10, 10); /* what is folded twice counts once */
    struct audit_counts c = audit(&told, &marks, NULL, 0);
    assert_int_equal(told.findings, 0);
    assert_int_equal(c.marks_found, 2);
    marks_done(&marks);
}

/* Whoever can write the book can make one that is sound in itself. */
static void other_past_is_found_by_its_mark(void **state)
{
    struct marks marks = {.count = 0};
    struct told told;

    fold_messages("stored", 10, 3);
    audit(&told, NULL, &marks, 0);
    test_ledger_remove(NULL);
    test_ledger_make(NULL);
    fold_messages("never came", 10, 10);
    audit(&told, NULL, NULL, 0);
    assert_int_equal(told.findings, 0);
    struct audit_counts c = audit(&told, &marks, NULL, 0);
    assert_int_equal(told.findings, 1);
    assert_int_equal(told.checkpoints, 1);
    assert_int_equal(c.broken, 1);
    assert_int_equal(c.marks_found, 1); /* the refusal is the same */
    marks_done(&marks);
}

static void shorter_and_missing_chains_are_found(void **state)
{
    struct marks marks = {.count = 0};
    char path[200];
    struct told told;

    fold_messages("stored", 10, 3);
    audit(&told, NULL, &marks, 0);
    test_ledger_remove(NULL);
    test_ledger_make(NULL);
    fold_messages("stored", 8, 3);
    audit(&told, &marks, NULL, 0);
    assert_int_equal(told.checkpoints, 1);
    snprintf(path, sizeof(path), "%s/" TEST_WEEK, test_folder);
    assert_int_equal(unlink(path), 0);
    audit(&told, &marks, NULL, 0);
    assert_int_equal(told.checkpoints, 1);
    struct audit_counts c = audit(&told, &marks, NULL, TEST_NOW_US + 30 * TEST_DAY);
    assert_int_equal(c.marks_skipped, 1); /* the refusals' week */
    marks_done(&marks);
}

/* Retention keeps the last link only. */
static void deleted_weeks_are_compared_by_their_end(void **state)
{
    struct marks early = {.count = 0}, late = {.count = 0};
    struct fold_deleted deleted = {0};
    struct told told;

    fold_messages("stored", 10, 3);
    audit(&told, NULL, &early, 0);
    fold_messages("stored", 10, 10);
    audit(&told, NULL, &late, 0);
    struct fold *fold = test_fold_open();
    int64_t later_us = TEST_NOW_US + 30 * TEST_DAY;
    assert_int_equal(fold_expire(fold, later_us, later_us, later_us, &deleted), 0);
    assert_int_equal(deleted.files, 2);
    fold_close(fold);
    struct audit_counts c = audit(&told, &late, NULL, 0);
    assert_int_equal(told.findings, 0);
    assert_int_equal(c.marks_found, 2);
    c = audit(&told, &early, NULL, 0);
    assert_int_equal(told.findings, 0);
    assert_int_equal(c.marks_found, 1);
    assert_int_equal(c.marks_gone, 1);
    late.list[0].head.bytes[5] ^= 1;
    late.list[1].events++;
    audit(&told, &late, NULL, 0);
    assert_int_equal(told.checkpoints, 2);
    marks_done(&early);
    marks_done(&late);
}

int main(void)
{
#define LEDGER_TEST(f) cmocka_unit_test_setup_teardown(f, test_ledger_make, test_ledger_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_back),
        cmocka_unit_test(what_is_cut_off_is_none),
        cmocka_unit_test(strange_text_is_none),
        cmocka_unit_test(signature_covers_every_byte),
        cmocka_unit_test(only_ed25519_keys),
        LEDGER_TEST(chains_that_grew_are_found_again),
        LEDGER_TEST(other_past_is_found_by_its_mark),
        LEDGER_TEST(shorter_and_missing_chains_are_found),
        LEDGER_TEST(deleted_weeks_are_compared_by_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
