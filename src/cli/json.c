/*
 * Values that jansson hasn't: text that may not be UTF-8, and times.
 */
#include "base/clock.h"
#include "base/printable.h"
#include "cli/cli.h"

json_t *cli_json_text(struct span text)
{
    struct buffer shown = BUFFER_INIT;
    json_t *value = json_stringn(text.size ? text.data : "", text.size);

    if (!value) {
        printable_append(&shown, text);
        value = json_stringn(shown.data, shown.size);
        buffer_done(&shown);
    }
    return value;
}

json_t *cli_json_time(int64_t wall_us)
{
    char text[CLOCK_RFC3339_SIZE];

    if (wall_us == 0)
        return json_null();
    clock_format_rfc3339(wall_us, text);
    return json_string(text);
}

void cli_json_print(json_t *value, size_t indent)
{
    json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_INDENT(indent) | (indent ? 0 : JSON_COMPACT));
    json_decref(value);
}
