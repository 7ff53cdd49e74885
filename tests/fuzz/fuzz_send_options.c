/* sendmail's command line, which web programs fill with strangers' words: arguments divided by NUL.
 * What is taken for a command is harmless there; what is left are the recipients. */
#include "fuzz.h"

#include "cli/send_options.h"
#include "mail/dsn.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 12 };

static int split(char *text, size_t size, char **argv)
{
    int count = 1;

    for (size_t at = 0; at < size && count < ARGUMENTS_MAX; at += strlen(text + at) + 1)
        argv[count++] = text + at;
    return count;
}

static void check(const struct send_wishes *w, char **argv, int argc)
{
    uint8_t notify, returned;

    assert(memchr(w->notify, '\0', sizeof(w->notify)) && memchr(w->ret, '\0', sizeof(w->ret)));
    assert(!w->notify[0] || dsn_parse_notify(span_from_cstr(w->notify), &notify) == 0);
    assert(!w->ret[0] || dsn_parse_return(span_from_cstr(w->ret), &returned) == 0);
    assert(!w->envid || dsn_is_envelope_id(span_from_cstr(w->envid)));
    assert(w->mode && strchr("mspi", w->mode));
    assert(w->recipients + w->recipient_count == argv + argc && w->recipient_count >= 0);
}

/* It tells people what is wrong: not here. */
static void be_silent(void)
{
    static bool silent;
    int nothing = silent ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (nothing < 0)
        return;
    silent = true;
    stderr = fdopen(nothing, "w");
    assert(stderr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[1024], *argv[ARGUMENTS_MAX + 1] = {"sendmail"};
    struct send_wishes w;
    int code = 0;

    if (size >= sizeof(text))
        return 0;
    be_silent();
    memcpy(text, data, size);
    text[size] = '\0';
    int argc = split(text, size, argv);
    if (send_parse_wishes(argc, argv, &w, &code) == 0)
        check(&w, argv, argc);
    return 0;
}
