/* Asking for a new password and hashing it. */
#pragma once

enum { CLI_VERIFIER_SIZE = 384 }; /* libxcrypt's CRYPT_OUTPUT_SIZE */

/* On a terminal asks twice without echo; else reads a line from standard input. Writes its yescrypt
 * hash (crypt(5)). 0 or -errno after a complaint. */
int cli_password_verifier(const char *command, char out[static CLI_VERIFIER_SIZE]);
