#include "../unit.h"

#include "cli/submit.h"
#include "script.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static const struct span recipients[] = {{"b@x", 3}, {"c@x", 3}};
static const struct submission usual = {
    .sender = {"a@x", 3},
    .recipients = recipients,
    .recipient_count = 2,
    .message = {"Subject: s\r\n\r\n.dot\r\n..two\r\nlast\r\n", 33},
};

#define GREETED "S 220 x\nC EHLO localhost\nS 250 x\n"
#define TO_DATA                                                                                    \
    GREETED "C MAIL FROM:<a@x>\nS 250 ok\nC RCPT TO:<b@x>\nS 250 ok\nC RCPT TO:<c@x>\nS 250 "      \
            "ok\nC DATA\n"
#define BYE "C QUIT\nS 221 bye\n"

static void dialogues(void **state)
{
    static const struct {
        const char *name;
        const char *script;
        bool partly;
        enum submit_result result;
        const char *text;
    } cases[] = {
        {"accepted", TO_DATA "S 354 go\nD\nS 250 2.0.0 queued as X\n" BYE, false, SUBMIT_ACCEPTED,
         "2.0.0 queued as X"},
        {"no greeting", "X\n", false, SUBMIT_UNREACHED,
         "greeting: the server broke off the dialogue\n"},
        {"busy", "S 421 4.3.0 busy\n", false, SUBMIT_UNREACHED, "greeting: 421 4.3.0 busy\n"},
        {"not serving", "S 554 no\n", false, SUBMIT_UNREACHED, "greeting: 554 no\n"},
        {"sender refused", GREETED "C MAIL FROM:<a@x>\nS 550-first\nS 550 second\n" BYE, false,
         SUBMIT_REFUSED, "sender: 550 first second\n"},
        {"disk full", GREETED "C MAIL FROM:<a@x>\nS 452 4.3.1 full\n" BYE, false, SUBMIT_DEFERRED,
         "sender: 452 4.3.1 full\n"},
        {"one refused, whole",
         GREETED "C MAIL FROM:<a@x>\nS 250 ok\nC RCPT TO:<b@x>\nS 550 5.1.1 who\n"
                 "C RCPT TO:<c@x>\nS 250 ok\n" BYE,
         false, SUBMIT_REFUSED, "b@x: 550 5.1.1 who\n"},
        {"one refused, partly",
         GREETED "C MAIL FROM:<a@x>\nS 250 ok\nC RCPT TO:<b@x>\nS 550 5.1.1 who\n"
                 "C RCPT TO:<c@x>\nS 250 ok\nC DATA\nS 354 go\nD\nS 250 done\n" BYE,
         true, SUBMIT_ACCEPTED, "b@x: 550 5.1.1 who\ndone"},
        {"one refused, then the end, whole",
         GREETED "C MAIL FROM:<a@x>\nS 250 ok\nC RCPT TO:<b@x>\nS 550 5.1.1 who\n"
                 "C RCPT TO:<c@x>\nS 421 bye\n",
         false, SUBMIT_REFUSED, "b@x: 550 5.1.1 who\nc@x: 421 bye\n"},
        {"one refused, then the end, partly",
         GREETED "C MAIL FROM:<a@x>\nS 250 ok\nC RCPT TO:<b@x>\nS 550 5.1.1 who\n"
                 "C RCPT TO:<c@x>\nS 421 bye\n",
         true, SUBMIT_UNREACHED, "b@x: 550 5.1.1 who\nc@x: 421 bye\n"},
        {"both refused, partly",
         GREETED "C MAIL FROM:<a@x>\nS 250 ok\nC RCPT TO:<b@x>\nS 550 n\n"
                 "C RCPT TO:<c@x>\nS 551 m\n" BYE,
         true, SUBMIT_REFUSED, "b@x: 550 n\nc@x: 551 m\n"},
        {"one deferred, whole",
         GREETED "C MAIL FROM:<a@x>\nS 250 ok\nC RCPT TO:<b@x>\nS 250 ok\n"
                 "C RCPT TO:<c@x>\nS 450 later\n" BYE,
         false, SUBMIT_DEFERRED, "c@x: 450 later\n"},
        {"one deferred, partly",
         GREETED "C MAIL FROM:<a@x>\nS 250 ok\nC RCPT TO:<b@x>\nS 450 later\n"
                 "C RCPT TO:<c@x>\nS 250 ok\nC DATA\nS 354 go\nD\nS 250 done\n" BYE,
         true, SUBMIT_ACCEPTED, "b@x: 450 later\ndone"},
        {"none taken, partly",
         GREETED "C MAIL FROM:<a@x>\nS 250 ok\nC RCPT TO:<b@x>\nS 550 n\n"
                 "C RCPT TO:<c@x>\nS 450 later\n" BYE,
         true, SUBMIT_DEFERRED, "b@x: 550 n\nc@x: 450 later\n"},
        {"DATA refused", TO_DATA "S 554 no\n" BYE, false, SUBMIT_REFUSED, "message: 554 no\n"},
        {"DATA answered with nonsense", TO_DATA "S 250 fine\n" BYE, false, SUBMIT_UNREACHED,
         "message: 250 fine\n"},
        {"lost at the dot", TO_DATA "S 354 go\nD\nX\n", false, SUBMIT_UNREACHED,
         "message: the server broke off the dialogue\n"},
        {"refused at the dot", TO_DATA "S 354 go\nD\nS 554 5.6.0 bad\n" BYE, false, SUBMIT_REFUSED,
         "message: 554 5.6.0 bad\n"},
        {"not SMTP", "S hello\n", false, SUBMIT_UNREACHED,
         "greeting: the server broke off the dialogue\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct submit_report report = {0};
        struct script script;

        print_message("%s\n", cases[i].name);
        int fd = script_start(&script, cases[i].script);
        assert_int_equal(submit_send(fd, &usual, cases[i].partly, &report), cases[i].result);
        close(fd);
        assert_span(buffer_span(&report.text), cases[i].text);
        buffer_done(&report.text);
        script_finish(&script);
    }
}

static void extensions_are_used_when_offered(void **state)
{
    struct submission s = usual;
    struct submit_report report = {0};
    struct script script;

    s.recipient_count = 1;
    s.eight_bit = s.smtputf8 = true;
    s.notify = SPAN("NEVER");
    s.ret = SPAN("HDRS");
    s.envid = SPAN("e+3D1");
    int fd = script_start(&script,
                          "S 220 x\nC EHLO localhost\nS 250-x\nS 250-8bitmime\nS 250-SIZE 1000\n"
                          "S 250-DSN\nS 250 SMTPUTF8\n"
                          "C MAIL FROM:<a@x> SIZE=33 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=e+3D1\n"
                          "S 250 ok\nC RCPT TO:<b@x> NOTIFY=NEVER\nS 250 ok\nC DATA\nS 354 go\nD\n"
                          "S 250 ok\n" BYE);
    assert_int_equal(submit_send(fd, &s, false, &report), SUBMIT_ACCEPTED);
    close(fd);
    buffer_done(&report.text);
    script_finish(&script);
}

static long patience_s(int fd)
{
    struct timeval limit;
    socklen_t size = sizeof(limit);

    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &size), 0);
    return limit.tv_sec;
}

/* Who isn't greeted leaves the message in the drop folder; a disk may take longer. */
static void a_greeting_is_waited_for_less_long_than_a_verdict(void **state)
{
    char folder[] = "/tmp/postbuch-submit-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct submit_report report = {0};
    struct script script;

    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    int fd = submit_connect(address.sun_path);
    assert_in_range(fd, 0, INT_MAX);
    assert_in_range(patience_s(fd), 1, 60);
    close(fd);
    close(listener);
    unlink(address.sun_path);
    rmdir(folder);

    fd = script_start(&script, GREETED "C MAIL FROM:<a@x>\nS 550 no\n" BYE);
    assert_int_equal(submit_send(fd, &usual, false, &report), SUBMIT_REFUSED);
    assert_int_equal(patience_s(fd), 600);
    close(fd);
    buffer_done(&report.text);
    script_finish(&script);
}

/* RFC 5321 4.5.2; and whoever reads the stuffed text gets the message back. */
static void dots_are_doubled(void **state)
{
    static const struct {
        const char *message;
        const char *stuffed; /* as the script noted it */
    } cases[] = {
        {"", ""},
        {".\r\n", "..\n"},
        {"a\r\n.b\r\n..\r\n", "a\n..b\n...\n"},
        {"no end", "no end\n"},
        {".\r\nno end", "..\nno end\n"},
        {"LF alone\n", "LF alone\n\n"}, /* behind it the dot would end nothing */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct submission s = usual;
        struct submit_report report = {0};
        struct script script;

        s.message = span_from_cstr(cases[i].message);
        int fd = script_start(&script, TO_DATA "S 354 go\nD\nS 250 ok\n" BYE);
        assert_int_equal(submit_send(fd, &s, false, &report), SUBMIT_ACCEPTED);
        close(fd);
        pthread_join(script.thread, NULL);
        assert_span(buffer_span(&script.data), cases[i].stuffed);
        buffer_done(&script.data);
        buffer_done(&report.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialogues), cmocka_unit_test(extensions_are_used_when_offered),
        cmocka_unit_test(a_greeting_is_waited_for_less_long_than_a_verdict),
        cmocka_unit_test(dots_are_doubled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
