/* Hands what waits in the drop folder to the server that has just started. */
#pragma once

/* Each file is removed when the server has answered 250 for it; one that is damaged or refused, or
 * for a day was deferred, is set aside under another name. Causes go to the log. Returns an exit
 * code of cli.h: CLI_OK, CLI_BAD_NEWS when something was refused or damaged, or the folder can't be
 * used, CLI_UNREACHED when the server didn't answer or asked to come again, or a letter can't be
 * read just now: the rest stays. */
int collect_folder(const char *folder, const char *submit_path, const char *hostname);
