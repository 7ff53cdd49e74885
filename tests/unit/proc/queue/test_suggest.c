#include "../../unit.h"

#include "proc/queue/returns/suggest.h"

#define TEXT(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static void what_was_perhaps_meant(void **state)
{
    static struct conf_queue_domain domains[] = {{.name = TEXT("firma.example")}};
    static struct conf_queue_route routes[] = {{TEXT("*"), TEXT("mx")},
                                               {TEXT(".below.example"), TEXT("mx")},
                                               {TEXT("partner.example"), TEXT("host:a:25")}};
    static const struct conf_queue conf = {
        .domains = domains, .domain_count = 1, .routes = routes, .route_count = 3};
    static const struct {
        const char *address, *meant;
    } cases[] = {
        {"bob@frima.example", "bob@firma.example"},
        {"bob@firmaa.example", "bob@firma.example"},
        {"bob@firma.exampel", "bob@firma.example"},
        {"\"b@b\"@partnre.example", "\"b@b\"@partner.example"},
        {"bob@gmial.com", "bob@gmail.com"},
        {"bob@gnail.con", "bob@gmail.com"},
        {"bob@wbe.de", "bob@web.de"},
        {"bob@gmx.dd", "bob@gmx.de"},
        {"bob@t-onlin.de", "bob@t-online.de"},
        {"bob@abc.de", ""}, /* short names are near to each other */
        {"bob@gmail.com", ""},
        {"bob@firma.example", ""},
        {"bob@elsewhere.example", ""},
        {"bob@x.below.example", ""},
        {"bob", ""},
        {"bob@", ""},
        {"", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char out[ENVELOPE_ADDRESS_MAX];
        size_t size = suggest_address(&conf, span_from_cstr(cases[i].address), out);
        assert_span(span_of(out, size), cases[i].meant);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_was_perhaps_meant)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
