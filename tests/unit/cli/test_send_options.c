#include "../unit.h"

#include "cli/send_options.h"

static void lines(void **state)
{
    static const struct {
        char *argv[8];
        const char *result; /* what the wishes are, or "exit N" */
    } cases[] = {
        {{"send", "b@x"}, "m; b@x"},
        {{"sendmail", "-t", "-oi", "-f", "a@x"}, "m t i f=a@x;"},
        {{"sendmail", "-i", "-fa@x", "--", "-odd@x"}, "m i f=a@x; -odd@x"},
        {{"sendmail", "-r", "a@x", "b@x"}, "m f=a@x; b@x"},
        {{"sendmail", "-f", "", "b@x"}, "m f=; b@x"},
        {{"sendmail", "-bs"}, "s;"},
        {{"sendmail", "-bp"}, "p;"},
        {{"sendmail", "-bd"}, "exit 2"},
        {{"sendmail", "-q30m"}, "m q;"},
        {{"sendmail", "-oem", "-odb", "-B8BITMIME", "-Am", "-h", "3", "b@x"}, "m; b@x"},
        {{"send", "-N", "success,delay", "b@x"}, "m N=SUCCESS,DELAY; b@x"},
        {{"send", "-Nnever", "b@x"}, "m N=NEVER; b@x"},
        {{"send", "-N", "never,delay"}, "exit 2"},
        {{"send", "-N", "success,success"}, "exit 2"},
        {{"send", "-N", ""}, "exit 2"},
        {{"send", "-R", "hdrs", "-V", "id1"}, "m R=HDRS V=id1;"},
        {{"send", "-R", "some"}, "exit 2"},
        {{"send", "-V", "two words"}, "exit 2"},
        {{"send", "-V", "no+xtext"}, "exit 2"},
        {{"send", "-V", ""}, "exit 2"},
        {{"send", "-V", "a=b"}, "exit 2"},
        {{"send", "-V", "a+2Bb"}, "m V=a+2Bb;"},
        {{"send", "-Rfull", "b@x"}, "m R=FULL; b@x"},
        {{"send", "-N", " success , Delay "}, "m N=SUCCESS,DELAY;"},
        {{"send", "-N", "delay,success,failure"}, "m N=DELAY,SUCCESS,FAILURE;"},
        {{"send", "-N", "success,,delay"}, "exit 2"},
        {{"send", "-N", "delay,never"}, "exit 2"},
        {{"send", "-N", "always"}, "exit 2"},
        /* What is said twice counts as it was said last. */
        {{"send", "-N", "success,failure", "-N", "never"}, "m N=NEVER;"},
        {{"send", "-R", "FULL", "-R", "Hdrs"}, "m R=HDRS;"},
        {{"send", "-f", "a@x", "-r", "c@x"}, "m f=c@x;"},
        {{"sendmail", "-bs", "-bm", "b@x"}, "m; b@x"},
        {{"sendmail", "-b", ""}, "exit 2"},
        {{"sendmail", "-bss"}, "exit 2"},
        {{"sendmail", "-b"}, "exit 2"},
        {{"sendmail", "-oem", "-o", "i"}, "m i;"},
        {{"sendmail", "-q"}, "m q;"},
        {{"sendmail", "b@x", "-t", "c@x"}, "m t; b@x c@x"},
        {{"send", "-Z"}, "exit 2"},
        /* What means something to other mailers only. */
        {{"sendmail", "-c", "-E", "-l", "-s", "-T", "-x", "b@x"}, "m; b@x"},
        {{"sendmail", "-em", "-d0.1", "-Qbad", "-MrESMTP", "-D", "file", "b@x"}, "m; b@x"},
        {{"sendmail", "-e", "-d", "b@x"}, "m; b@x"},
        {{"sendmail", "-I"}, "i;"},
        {{"sendmail", "-bv", "b@x"}, "exit 2"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer out = BUFFER_INIT;
        struct send_wishes w;
        char *argv[9] = {NULL};
        int argc = 0, code = -1;

        for (; argc < 8 && cases[i].argv[argc]; argc++)
            argv[argc] = cases[i].argv[argc];
        print_message("%s\n", cases[i].result);
        if (send_parse_wishes(argc, argv, &w, &code) < 0) {
            buffer_printf(&out, "exit %d", code);
        } else {
            buffer_printf(&out, "%c%s%s%s", w.mode, w.extract ? " t" : "",
                          w.dot_is_text ? " i" : "", w.run_queue ? " q" : "");
            if (w.sender)
                buffer_printf(&out, " f=%s", w.sender);
            if (w.notify[0])
                buffer_printf(&out, " N=%s", w.notify);
            if (w.ret[0])
                buffer_printf(&out, " R=%s", w.ret);
            if (w.envid)
                buffer_printf(&out, " V=%s", w.envid);
            buffer_append_byte(&out, ';');
            for (int k = 0; k < w.recipient_count; k++)
                buffer_printf(&out, " %s", w.recipients[k]);
        }
        assert_span(buffer_span(&out), cases[i].result);
        buffer_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
