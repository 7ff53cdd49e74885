/* Times as people write them: what is read is written as a time that is read as the same, as far as
 * years have four digits. */
#include "fuzz.h"

#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t now_us = INT64_C(1795284003120) * 1000;
    static const int64_t year_0_us = INT64_C(-62167219200) * 1000000;
    static const int64_t year_10000_us = INT64_C(253402300800) * 1000000;
    char text[CLOCK_RFC3339_SIZE], field[CLOCK_RFC5322_SIZE];
    int64_t time_us, again_us;

    if (clock_parse(span_of(data, size), now_us, &time_us) < 0)
        return 0;
    clock_format_rfc3339(time_us, text);
    clock_format_rfc5322(time_us, field);
    if (time_us < year_0_us || time_us >= year_10000_us)
        return 0;
    assert(clock_parse(span_from_cstr(text), now_us, &again_us) == 0);
    assert(again_us == time_us - ((time_us % 1000) + 1000) % 1000);
    return 0;
}
