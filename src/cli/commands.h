/* The commands, each in src/cli/NAME.c. All as cli.h says: argv[0] is the command's name, what
 * comes back is an exit code. Called once a process. */
#pragma once

int cli_serve(int argc, char **argv);
int cli_init(int argc, char **argv);
int cli_check_config(int argc, char **argv);
int cli_completion(int argc, char **argv);
int cli_send(int argc, char **argv);
int cli_queue(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_reload(int argc, char **argv);
int cli_route(int argc, char **argv);
int cli_trace(int argc, char **argv);
int cli_audit(int argc, char **argv);
int cli_user(int argc, char **argv);
