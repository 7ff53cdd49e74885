/* `postbuch completion`: a script for bash. It asks the program itself, so it never lags behind. */
#include "cli/cli.h"
#include "cli/commands.h"

static const struct cli_usage usage = {
    .name = "completion",
    .help = "Prints a script for bash that completes commands, options and what they can do:\n"
            "  source <(postbuch completion)\n",
};

static const char script[] =
    "# bash completion for postbuch\n"
    "_postbuch() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words\n"
    "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
    "        words=$(\"$1\" --help 2>/dev/null | awk '/^  [a-z]/ { print $1 }')\n"
    "    elif [ \"$before\" = --config ]; then\n"
    "        COMPREPLY=($(compgen -f -- \"$word\"))\n"
    "        return\n"
    "    elif [ \"${COMP_WORDS[1]}\" = queue ] && [ \"$before\" = --state ]; then\n"
    "        words='paused ready active held'\n"
    "    else\n"
    "        # Options stand at the start of a line; what a command can do in its first line.\n"
    "        words=$(\"$1\" \"${COMP_WORDS[1]}\" --help 2>/dev/null | awk '\n"
    "            NR == 1 { gsub(/[][|]/, \" \"); for (i = 4; i <= NF; i++) if ($i ~ /^[a-z]+$/) "
    "print $i }\n"
    "            NR > 1 && match($0, /^ +(-., +)?--[a-z-]+/) {\n"
    "                $0 = substr($0, 1, RLENGTH); print $NF }')\n"
    "    fi\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
    "}\n"
    "complete -F _postbuch postbuch\n";

int cli_completion(int argc, char **argv)
{
    struct cli_parser p;

    if (cli_parse_all(&p, &usage, argc, argv) < 0)
        return p.exit_code;
    if (p.first < argc)
        return cli_wrong_usage(&usage, "it takes no arguments");
    fputs(script, stdout);
    return cli_finish_output("completion", CLI_OK);
}
