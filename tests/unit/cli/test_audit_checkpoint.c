/* Checkpoints as files: what is written can be verified, nothing is ever written over, and what
 * can't be trusted is said. */
#include "command_run.h"

#include "cli/audit_checkpoint.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

static char file[96], key[96], public_key[96], other_key[96];

static void write_text(const char *path, const char *content)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

static void make_keys(const char *private_path, const char *public_path)
{
    EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    FILE *f = fopen(private_path, "w");

    assert_int_equal(PEM_write_PrivateKey(f, pair, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
    f = fopen(public_path, "w");
    assert_int_equal(PEM_write_PUBKEY(f, pair), 1);
    fclose(f);
    EVP_PKEY_free(pair);
}

/* Writes one with a mark, signed if there is a key. The exit code. */
static int write_one(const char *with_key, const char *host, struct audit_counts counts)
{
    struct mark mark = {.kind = WEEK_ENTRIES, .week = 2900, .lane = 1, .events = 42};
    struct audit_checkpoint c = {.write = file, .key = with_key};

    assert_int_equal(marks_add(&c.reached, &mark), 0);
    int code = audit_checkpoint_write(&c, host, &counts, INT64_C(1795284003120000));
    audit_checkpoint_done(&c);
    return code;
}

static int write_good(const char *with_key, const char *host)
{
    return write_one(with_key, host, (struct audit_counts){0});
}

static int load(struct audit_checkpoint *c, const char *with_key)
{
    *c = (struct audit_checkpoint){.verify = file, .public_key = with_key};
    return audit_checkpoint_load(c);
}

static int load_code(const char *with_key)
{
    struct audit_checkpoint c;
    int code = load(&c, with_key);

    audit_checkpoint_done(&c);
    return code;
}

static void what_is_written_can_be_read(void **state)
{
    struct audit_checkpoint c;

    assert_int_equal(write_good(NULL, "mail.aaa.example"), CLI_OK);
    assert_int_equal(load(&c, NULL), CLI_OK);
    assert_string_equal(c.expected.host, "mail.aaa.example");
    assert_int_equal(c.expected.count, 1);
    assert_int_equal(c.expected.list[0].events, 42);
    assert_false(c.is_signed);
    audit_checkpoint_done(&c);
}

static void without_a_wish_nothing_is_done(void **state)
{
    struct audit_checkpoint c = {0};
    struct audit_counts broken = {.broken = 1};

    assert_int_equal(audit_checkpoint_load(&c), CLI_OK);
    assert_int_equal(audit_checkpoint_write(&c, "x", &broken, 1), CLI_OK);
    audit_checkpoint_done(&c);
}

/* Who could make us write over yesterday's could make the past forgotten. */
static void an_older_one_stays(void **state)
{
    struct audit_checkpoint c;

    assert_int_equal(write_good(NULL, "first"), CLI_OK);
    assert_int_equal(write_good(NULL, "second"), CLI_BAD_NEWS);
    assert_int_equal(load(&c, NULL), CLI_OK);
    assert_string_equal(c.expected.host, "first");
    audit_checkpoint_done(&c);
}

static void a_broken_chain_gets_none(void **state)
{
    assert_int_equal(write_one(NULL, "x", (struct audit_counts){.broken = 1}), CLI_BAD_NEWS);
    assert_int_equal(access(file, F_OK), -1);
}

static void a_signature_is_of_one_key(void **state)
{
    struct audit_checkpoint c;

    assert_int_equal(write_good(key, "x"), CLI_OK);
    assert_int_equal(load(&c, public_key), CLI_OK);
    assert_true(c.is_signed && c.signature_holds);
    audit_checkpoint_done(&c);
    assert_int_equal(load(&c, other_key), CLI_BAD_NEWS);
    assert_true(c.is_signed && !c.signature_holds);
    audit_checkpoint_done(&c);
    assert_int_equal(load(&c, NULL), CLI_OK); /* nobody asked */
    assert_true(c.is_signed && !c.signature_holds);
    audit_checkpoint_done(&c);
    assert_int_equal(load_code(key), CLI_USAGE); /* it's the private one */
    assert_int_equal(load_code("/nonexistent"), CLI_USAGE);
}

/* Whoever demands a signature isn't served by none. */
static void unsigned_is_bad_news_when_a_key_is_given(void **state)
{
    assert_int_equal(write_good(NULL, "x"), CLI_OK);
    assert_int_equal(load_code(public_key), CLI_BAD_NEWS);
}

static void a_changed_byte_is_found(void **state)
{
    char content[1024];

    assert_int_equal(write_good(key, "x"), CLI_OK);
    read_back("checkpoint", content, sizeof(content));
    char *events = strstr(content, " 42 ");
    assert_non_null(events);
    events[1] = '3';
    write_text(file, content);
    assert_int_equal(load_code(public_key), CLI_BAD_NEWS);
    assert_int_equal(load_code(NULL), CLI_OK);
}

/* Without the signature that was asked for there is no file: it would look like one without. */
static void a_key_that_is_none_leaves_nothing(void **state)
{
    assert_int_equal(write_good(public_key, "x"), CLI_BAD_NEWS);
    assert_int_equal(write_good("/nonexistent", "x"), CLI_BAD_NEWS);
    assert_int_equal(access(file, F_OK), -1);
}

static void what_is_no_checkpoint_is_said(void **state)
{
    assert_int_equal(load_code(NULL), CLI_USAGE);
    write_text(file, "");
    assert_int_equal(load_code(NULL), CLI_USAGE);
    write_text(file, "postbuch checkpoint 1\nnonsense\n");
    assert_int_equal(load_code(NULL), CLI_USAGE);
    unlink(file);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_int_equal(load_code(NULL), CLI_USAGE);
    rmdir(file);
}

static void a_strange_host_name_breaks_no_line(void **state)
{
    struct audit_checkpoint c;
    char longest[400];

    assert_int_equal(write_good(NULL, "a b\nchain \x1b\xff"), CLI_OK);
    assert_int_equal(load(&c, NULL), CLI_OK);
    assert_string_equal(c.expected.host, "a?b?chain???");
    audit_checkpoint_done(&c);
    unlink(file);
    memset(longest, 'h', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(write_good(NULL, longest), CLI_OK);
    assert_int_equal(load(&c, NULL), CLI_OK);
    assert_int_equal(strlen(c.expected.host), MARKS_HOST_MAX);
    audit_checkpoint_done(&c);
}

static int forget_file(void **state)
{
    unlink(file);
    return 0;
}

static int set_up_all(void **state)
{
    char unused[96];

    if (set_up(state) < 0)
        return -1;
    path_of("checkpoint", file);
    path_of("key", key);
    path_of("public", public_key);
    path_of("other", other_key);
    path_of("unused", unused);
    make_keys(key, public_key);
    make_keys(unused, other_key);
    return unlink(unused);
}

static int tear_down_all(void **state)
{
    unlink(key);
    unlink(public_key);
    unlink(other_key);
    return tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_written_can_be_read, forget_file),
        cmocka_unit_test_teardown(without_a_wish_nothing_is_done, forget_file),
        cmocka_unit_test_teardown(an_older_one_stays, forget_file),
        cmocka_unit_test_teardown(a_broken_chain_gets_none, forget_file),
        cmocka_unit_test_teardown(a_signature_is_of_one_key, forget_file),
        cmocka_unit_test_teardown(unsigned_is_bad_news_when_a_key_is_given, forget_file),
        cmocka_unit_test_teardown(a_changed_byte_is_found, forget_file),
        cmocka_unit_test_teardown(a_key_that_is_none_leaves_nothing, forget_file),
        cmocka_unit_test_teardown(what_is_no_checkpoint_is_said, forget_file),
        cmocka_unit_test_teardown(a_strange_host_name_breaks_no_line, forget_file),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
