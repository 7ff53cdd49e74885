/*
 * The password stays in this file's stack, and is wiped there; what leaves is its hash (yescrypt,
 * with libxcrypt's own cost).
 */
#include "cli/password.h"

#include "cli/cli.h"
#include <crypt.h>
#include <errno.h>
#include <termios.h>
#include <unistd.h>

enum { PASSWORD_MAX = 256 };

_Static_assert(CLI_VERIFIER_SIZE == CRYPT_OUTPUT_SIZE, "a verifier holds any hash of crypt(3)");

/* A line of standard input without its end. 0, -ENODATA, or -E2BIG. */
static int read_line(char out[static PASSWORD_MAX])
{
    if (!fgets(out, PASSWORD_MAX, stdin))
        return -ENODATA;
    size_t size = strcspn(out, "\r\n");
    if (out[size] == '\0' && size == PASSWORD_MAX - 1)
        return -E2BIG;
    out[size] = '\0';
    return 0;
}

/* TCSAFLUSH drops what was typed ahead, which would have been shown, and might be the answer to
 * another question. */
static int read_hidden(const char *prompt, char out[static PASSWORD_MAX])
{
    struct termios shown, hidden;

    if (tcgetattr(STDIN_FILENO, &shown) < 0)
        return -errno;
    hidden = shown;
    /* A Ctrl-C must not leave the terminal mute: it is read as a character, and refused below. */
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    fputs(prompt, stderr);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) < 0)
        return -errno;
    int r = read_line(out);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    fputc('\n', stderr);
    return r;
}

static int ask(const char *command, char out[static PASSWORD_MAX])
{
    char again[PASSWORD_MAX];

    if (!isatty(STDIN_FILENO))
        return read_line(out);
    int r = read_hidden("New password: ", out);
    if (r == 0)
        r = read_hidden("Once more: ", again);
    if (r == 0 && strcmp(out, again) != 0) {
        cli_complain(command, "the two are not the same; nothing was changed");
        r = -EINVAL;
    }
    explicit_bzero(again, sizeof(again));
    return r;
}

/* A ^C that was meant to stop, or an arrow key: nobody could type it again. */
static bool has_control(const char *password)
{
    for (; *password; password++)
        if ((unsigned char)*password < ' ' || *password == 127)
            return true;
    return false;
}

/* Cost and salt are libxcrypt's choice (NULL, 0), so they grow stronger with it; crypt_data holds
 * the password, so it is wiped. */
static int hash(const char *password, char out[static CLI_VERIFIER_SIZE])
{
    struct crypt_data data = {0};
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    int r = -EINVAL;

    if (crypt_gensalt_rn("$y$", 0, NULL, 0, setting, sizeof(setting)) &&
        crypt_rn(password, setting, &data, sizeof(data))) {
        memcpy(out, data.output, CLI_VERIFIER_SIZE);
        r = 0;
    }
    explicit_bzero(&data, sizeof(data));
    return r;
}

int cli_password_verifier(const char *command, char out[static CLI_VERIFIER_SIZE])
{
    char password[PASSWORD_MAX] = "";
    int r = ask(command, password);

    if (r == -ENODATA || (r == 0 && password[0] == '\0')) {
        cli_complain(command, "no password was given; --no-login makes a user without one");
        r = -ENODATA;
    } else if (r == -E2BIG) {
        cli_complain(command, "the password is longer than %d bytes", PASSWORD_MAX - 2);
    } else if (r == 0 && has_control(password)) {
        cli_complain(command, "the password has control characters; nothing was changed");
        r = -EINVAL;
    } else if (r == 0) {
        r = hash(password, out);
        if (r < 0)
            cli_complain(command, "the password can't be hashed");
    }
    explicit_bzero(password, sizeof(password));
    return r;
}
