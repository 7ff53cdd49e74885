#include "../unit.h"

#include "conf/part.h"
#include <errno.h>

static struct conf_network loopback = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127}, .prefix = 104};
static struct conf_listener listeners[] = {
    {.name = {"mx", 2}, .service = {"mx", 2}},
    {.name = {"old", 3}, .service = {"mx", 2}, .normalize = &loopback, .normalize_count = 1}};
static const struct conf_smtpd smtpd = {.generation = 7,
                                        .hostname = {"mail.aaa.example", 16},
                                        .banner = {"ESMTP", 5},
                                        .listeners = listeners,
                                        .listener_count = 2,
                                        .message_size_max = 1 << 20,
                                        .command_timeout_ms = 300000};

static struct conf_queue_domain queue_domains[] = {{.name = {"aaa.example", 11}}};
static struct conf_queue_route routes[] = {{{"*", 1}, {"host:h:25", 9}}};
static const struct conf_queue queue = {.generation = 7,
                                        .spool = {"/var/spool", 10},
                                        .segment_size = 64 << 20,
                                        .give_up_ms = 4 * 86400000ULL,
                                        .domains = queue_domains,
                                        .domain_count = 1,
                                        .routes = routes,
                                        .route_count = 1,
                                        .report_language = CONF_LANGUAGE_DE};

static struct conf_address own = {.ip = {[15] = 1}, .port = 25};
static const struct conf_smtp smtp = {
    .generation = 7, .hostname = {"h", 1}, .own = &own, .own_count = 1, .allow_private_mx = true};

static const struct conf_book book = {.generation = 7, .ledger = {"/ledger", 7}, .keep_ms = 1};

static struct conf_directory_domain directory_domains[] = {
    {.name = {"aaa.example", 11}, .users = {"/etc/users", 10}}};
static struct conf_relay_domain relays[] = {{.name = {"bbb.example", 11}}};
static struct conf_file files[] = {{.name = {"/etc/users", 10}}};
static const struct conf_directory directory = {.generation = 7,
                                                .domains = directory_domains,
                                                .domain_count = 1,
                                                .relays = relays,
                                                .relay_count = 1,
                                                .files = files,
                                                .file_count = 1,
                                                .trusted = &loopback,
                                                .trusted_count = 1,
                                                .limits = {.client_rate = 5}};

static struct conf_mailbox_domain mailbox_domains[] = {
    {.name = {"aaa.example", 11}, .template = {"/var/mail/%d/%u", 15}}};
static const struct conf_mailbox mailbox = {
    .generation = 7, .uid = 8, .gid = 9, .domains = mailbox_domains, .domain_count = 1};

static const struct {
    const struct codec *codec;
    const void *value;
} parts[] = {{&conf_smtpd_codec, &smtpd},     {&conf_queue_codec, &queue},
             {&conf_book_codec, &book},       {&conf_directory_codec, &directory},
             {&conf_mailbox_codec, &mailbox}, {&conf_smtp_codec, &smtp}};

union any {
    struct conf_smtpd smtpd;
    struct conf_queue queue;
    struct conf_book book;
    struct conf_directory directory;
    struct conf_mailbox mailbox;
    struct conf_smtp smtp;
};

/* What was decoded is encoded again: the bytes must be the same. */
static void round_trip(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        struct buffer wire = BUFFER_INIT, again = BUFFER_INIT;
        struct arena arena = ARENA_INIT;
        union any back;
        assert_int_equal(codec_encode(parts[i].codec, parts[i].value, &wire), 0);
        assert_int_equal(codec_decode(parts[i].codec, buffer_span(&wire), &arena, &back), 0);
        assert_int_equal(back.smtpd.generation, 7);
        assert_int_equal(codec_encode(parts[i].codec, &back, &again), 0);
        assert_true(span_equal(buffer_span(&wire), buffer_span(&again)));
        buffer_done(&wire);
        buffer_done(&again);
        arena_done(&arena);
    }
}

static void values_arrive(void **state)
{
    struct buffer wire = BUFFER_INIT;
    struct arena arena = ARENA_INIT;
    struct conf_smtpd back;

    assert_int_equal(codec_encode(&conf_smtpd_codec, &smtpd, &wire), 0);
    assert_int_equal(codec_decode(&conf_smtpd_codec, buffer_span(&wire), &arena, &back), 0);
    assert_span(back.hostname, "mail.aaa.example");
    assert_int_equal(back.listener_count, 2);
    assert_int_equal(back.listeners[1].normalize[0].prefix, 104);
    assert_int_equal(back.command_timeout_ms, 300000);
    buffer_done(&wire);
    arena_done(&arena);
}

/* Every prefix fails; every changed bit is decoded within the maxima or fails. */
static void damaged(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        struct buffer wire = BUFFER_INIT;
        struct arena arena = ARENA_LIMITED(1 << 20);
        union any back;
        assert_int_equal(codec_encode(parts[i].codec, parts[i].value, &wire), 0);
        for (size_t size = 0; size < wire.size; size++) {
            arena_clear(&arena);
            assert_int_equal(
                codec_decode(parts[i].codec, span_first(buffer_span(&wire), size), &arena, &back),
                -EBADMSG);
        }
        for (size_t bit = 0; bit < wire.size * 8; bit++) {
            arena_clear(&arena);
            wire.data[bit / 8] ^= (char)(1 << bit % 8);
            int r = codec_decode(parts[i].codec, buffer_span(&wire), &arena, &back);
            assert_true(r == 0 || r == -EBADMSG);
            wire.data[bit / 8] ^= (char)(1 << bit % 8);
        }
        buffer_done(&wire);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip),
                                       cmocka_unit_test(values_arrive), cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
