/* sendmail -bs: SMTP on standard input and output. */
#pragma once

/* Until one side ends. CLI_OK, or CLI_UNREACHED after a 421. */
int send_speak_smtp(const char *submit_path);
