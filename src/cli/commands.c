#include "cli/commands.h"
#include "cli/cli.h"

const struct cli_command cli_commands[] = {
    {"serve", "start the server", cli_serve},
    {"init", "write a configuration to try it with", cli_init},
    {"check-config", "what is wrong with the configuration, all at once", cli_check_config},
    {"send", "send a message, as sendmail(1) does", cli_send},
    {"queue", "what waits, why, and until when", cli_queue},
    {"route", "which way mail for an address goes now, and why", cli_route},
    {"status", "whether the server runs, and its figures", cli_status},
    {"reload", "read the configuration anew", cli_reload},
    {"trace", "what became of a message, and who has it now", cli_trace},
    {"audit", "whether every message has its fate, proven from the book", cli_audit},
    {"completion", "a script that completes commands in bash", cli_completion},
    {"user", "who receives mail: list, add, password, remove", cli_user},
    {NULL, NULL, NULL},
};

/* What other mailers' programs are called, and which command does their work. */
static const struct {
    const char *program;
    const char *command;
} aliases[] = {
    {"sendmail", "send"},
    {"mailq", "queue"},
    {"newaliases", "reload"},
};

const struct cli_command *cli_find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
        if (strcmp(name, aliases[i].program) == 0) {
            name = aliases[i].command;
            break;
        }
    for (const struct cli_command *c = cli_commands; c->name; c++)
        if (strcmp(name, c->name) == 0)
            return c;
    return NULL;
}
