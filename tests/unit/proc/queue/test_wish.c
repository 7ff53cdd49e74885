#include "../../unit.h"

#include "proc/queue/returns/wish.h"

enum {
    N = ENVELOPE_NOTIFY_NEVER,
    S = ENVELOPE_NOTIFY_SUCCESS,
    F = ENVELOPE_NOTIFY_FAILURE,
    D = ENVELOPE_NOTIFY_DELAY
};

#define TEXT(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

/* 0 plain, 1 an alias of one, 2 a list, 3 said nothing; children 4: of 1; 5, 6: of 2; 7: of 6. */
static struct envelope_recipient own[4], children[4];
static struct envelope_wish wishes[] = {
    {0, S | D, TEXT("rfc822;a@x")}, {1, S | F, TEXT("")}, {2, S, TEXT("rfc822;list@x")}};
static struct envelope envelope = {.sender = TEXT("s@here.example"),
                                   .recipients = own,
                                   .recipient_count = 4,
                                   .client = {.uid = UINT32_MAX},
                                   .wishes = wishes,
                                   .wish_count = 3};
static const struct spool_expansion expansions[] = {
    {1, children, 1}, {2, children + 1, 2}, {6, children + 3, 1}};
static const struct wish_source source = {&envelope, expansions, 3};

static void wishes_follow_expansion(void **state)
{
    static const struct {
        uint32_t recipient;
        uint8_t notify;
        const char *original;
    } cases[] = {
        {0, S | D, "rfc822;a@x"}, {1, S | F, ""},          {2, S, "rfc822;list@x"}, {3, 0, ""},
        {4, S | F, ""}, /* the sender is told of the one mailbox */
        {5, N, "rfc822;list@x"},  {6, N, "rfc822;list@x"}, {7, N, "rfc822;list@x"}, {99, 0, ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct envelope_wish wish = wish_find(&source, cases[i].recipient);
        assert_int_equal(wish.notify, cases[i].notify);
        assert_span(wish.original, cases[i].original);
    }
}

static void what_the_next_station_hears(void **state)
{
    struct arena arena = ARENA_INIT;
    struct envelope_wish none = {.original = SPAN("")}, given = {.original = SPAN("rfc822;a@x")};
    struct envelope_recipient same = {TEXT("a@x"), TEXT("a@x"), 0, {0}};
    struct envelope_recipient alias = {TEXT("b@y"), TEXT("a+1@x"), 0, {0}};
    struct envelope_recipient utf8 = {TEXT("b@y"), TEXT("j\xc3\xbc@x"), 0, {0}};

    assert_span(wish_original(&none, &same, &arena), "");
    assert_span(wish_original(&given, &alias, &arena), "rfc822;a@x");
    assert_span(wish_original(&none, &alias, &arena), "rfc822;a+2B1@x");
    assert_span(wish_original(&none, &utf8, &arena), "");
    arena_done(&arena);
}

static void who_may_have_receipts(void **state)
{
    static struct conf_queue_domain domains[] = {{.name = TEXT("here.example")}};
    static struct conf_queue_route routes[] = {{TEXT("*"), TEXT("mx")},
                                               {TEXT("inside.example"), TEXT("host:a:25")}};
    static const struct {
        const char *sender;
        uint32_t uid;
        bool own, all;
    } cases[] = {
        {"s@here.example", UINT32_MAX, true, true},
        {"s@HERE.example", UINT32_MAX, true, true},
        {"s@inside.example", UINT32_MAX, true, true},
        {"s@far.example", UINT32_MAX, false, true},
        {"s@far.example", 1000, true, true},
        {"", 1000, false, false},
        {"", UINT32_MAX, false, false},
    };
    struct conf_queue conf = {
        .domains = domains, .domain_count = 1, .routes = routes, .route_count = 2};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct envelope e = {.sender = span_from_cstr(cases[i].sender),
                             .client = {.uid = cases[i].uid}};
        conf.receipts = CONF_RECEIPTS_OWN;
        assert_int_equal(wish_may_have_receipts(&conf, &e), cases[i].own);
        conf.receipts = CONF_RECEIPTS_ALL;
        assert_int_equal(wish_may_have_receipts(&conf, &e), cases[i].all);
        conf.receipts = CONF_RECEIPTS_NONE;
        assert_false(wish_may_have_receipts(&conf, &e));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wishes_follow_expansion),
        cmocka_unit_test(what_the_next_station_hears),
        cmocka_unit_test(who_may_have_receipts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
