/* The configuration's loader: no text may crash it, and a file with errors gives no configuration.
 */
#include "fuzz.h"

#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_problems problems;
    struct buffer text = BUFFER_INIT;
    struct conf c;

    conf_problems_init(&problems);
    int r = conf_parse(span_of(data, size), SPAN("fuzz"), SPAN("/etc"), &problems, &c);
    assert((r == 0) == (problems.error_count == 0));
    assert(r == 0 || c.hostname.size == 0);
    conf_problems_sort(&problems);
    for (size_t i = 0; i < problems.count; i++)
        conf_problem_format(&problems.items[i], &text);
    buffer_done(&text);
    conf_done(&c);
    conf_problems_done(&problems);
    return 0;
}
