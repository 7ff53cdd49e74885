#include "cli/cli.h"
#include "cli/commands.h"
#include "conf/conf.h"

static const struct cli_usage usage = {
    .name = "init",
    .arguments = "FOLDER",
    .help = "Writes into FOLDER what it takes to try Postbuch: postbuch.yaml with the domain\n"
            "postbuch.test on 127.0.0.1:2525, the users alice and bob, aliases. Files that are\n"
            "there already stay as they are. Then: postbuch serve --config FOLDER/postbuch.yaml\n",
};

int cli_init(int argc, char **argv)
{
    struct cli_parser parser;

    if (cli_parse_all(&parser, &usage, argc, argv) < 0)
        return parser.exit_code;
    if (argc - parser.first != 1)
        return cli_wrong_usage(&usage, "it needs one folder");
    int result = conf_create_default(argv[parser.first]);
    if (result < 0)
        cli_complain("init", "%s: %s", argv[parser.first], strerror(-result));
    return result < 0 ? CLI_BAD_NEWS : CLI_OK;
}
