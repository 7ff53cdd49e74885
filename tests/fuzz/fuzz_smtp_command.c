/* Command lines: parts must lie within the line, and parameters must come to an end. */
#include "fuzz.h"

#include "smtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span line = span_of(data, size);
    struct smtp_command command;
    struct smtp_parameter parameter;

    if (smtp_command_parse(line, &command) == SMTP_COMMAND_BAD_BYTES)
        return 0;
    assert(command.verb < SMTP_VERB_COUNT);
    assert(command.name.size + command.argument.size <= size);
    struct span rest = command.argument;
    while (smtp_parameter_next(&rest, &parameter) > 0) {
        assert(parameter.keyword.size && rest.size < command.argument.size);
        assert(parameter.value.size == 0 || parameter.has_value);
    }
    return 0;
}
