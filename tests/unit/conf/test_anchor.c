#include "../unit.h"

#include "conf/anchor.h"
#include <errno.h>

static const struct {
    const char *name, *text;
    const char *records[3];
} cases[] = {
    {"nothing", "", {0}},
    {"blank lines and comments", "\n ; a comment\n\n;x", {0}},
    {"one, without a line's end", ". IN DS 20326 8 2 E06D", {". IN DS 20326 8 2 E06D"}},
    {"two with comments",
     "; the root\n.\t172800 IN DNSKEY 257 3 8 AwEA ;{id = 20326 (ksk)} ;;state=2\r\n"
     "  a.test. DS 1 2 3 4\n",
     {". 172800 IN DNSKEY 257 3 8 AwEA ", "a.test. DS 1 2 3 4"}},
    {"over lines",
     ". IN DNSKEY 257 3 8 ( ; the key\n  AwEA\n  Bw== )\n. IN DS 1\n",
     {". IN DNSKEY 257 3 8 AwEA Bw== ", ". IN DS 1"}},
    {"never closed", ". IN DS ( 1\n2", {". IN DS 1 2"}},
    {"closed too often", "a )) b\nc", {"a b", "c"}},
};

static void records(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct span rest = span_from_cstr(cases[i].text);
        struct buffer line = BUFFER_INIT;
        size_t count = 0;
        for (; anchor_next(&rest, &line); count++) {
            const char *wanted = count < 3 ? cases[i].records[count] : NULL;
            if (!wanted || !span_equal(buffer_span(&line), span_from_cstr(wanted)))
                fail_msg("%s: %.*s", cases[i].name, SPAN_ARG(buffer_span(&line)));
        }
        if (count < 3 && cases[i].records[count])
            fail_msg("%s: %zu records", cases[i].name, count);
        buffer_done(&line);
    }
}

static void only_keys_are_of_use(void **state)
{
    static const struct {
        const char *text;
        bool usable;
    } texts[] = {
        {"", false},
        {"; . IN DS 20326 8 2 E06D\n", false},
        {"rubbish\n", false},
        {"DS\n", false},
        {"ds.test. IN A 192.0.2.1\n", false},
        {". IN TXT x x DS\n", false},
        {". IN DS 20326 8 2 E06D", true},
        {". 172800 IN DNSKEY 257 3 8 AwEA\n", true},
        {". ds 20326 8 2 E06D\n", true},
        {". IN SOA . . 1 1 1 1 1\n; and\n. DNSKEY ( 257 3 8\n AwEA )\n", true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (anchor_check(span_from_cstr(texts[i].text)) != (texts[i].usable ? 0 : -ENOENT))
            fail_msg("%s", texts[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records),
                                       cmocka_unit_test(only_keys_are_of_use)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
