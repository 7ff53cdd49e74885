#include "../unit.h"

#include "cli/cli.h"
#include "cli/collect.h"
#include "cli/drop.h"
#include "script.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A drop folder, and the server's socket beside it. */
struct place {
    char base[64], drop[96], submit[96];
};

static void place_make(struct place *p)
{
    strcpy(p->base, "/tmp/postbuch-collect-XXXXXX");
    assert_non_null(mkdtemp(p->base));
    snprintf(p->drop, sizeof(p->drop), "%s/drop", p->base);
    snprintf(p->submit, sizeof(p->submit), "%s/submit", p->base);
    assert_int_equal(mkdir(p->drop, 0700), 0);
}

/* Names in the folder that start so; each is removed. */
static int take_names(const struct place *p, const char *prefix)
{
    DIR *dir = opendir(p->drop);
    struct dirent *entry;
    int count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
            count++;
            unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    closedir(dir);
    return count;
}

static void place_remove(struct place *p)
{
    unlink(p->submit);
    assert_int_equal(rmdir(p->drop), 0);
    assert_int_equal(rmdir(p->base), 0);
}

static const struct span both[] = {{"b@x.example", 11}, {"c@x.example", 11}};

static void drop(const struct place *p, size_t recipients)
{
    const struct submission s = {.sender = SPAN("a@x.example"),
                                 .recipients = both,
                                 .recipient_count = recipients,
                                 .message = SPAN("Subject: s\r\n\r\nb\r\n")};
    assert_int_equal(drop_write(p->drop, &s), 0);
}

static void write_file(const struct place *p, const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof(path), "%s/%s", p->drop, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int collect(const struct place *p)
{
    return collect_folder(p->drop, p->submit, "host.example");
}

/* The same with a server that says this, a text a connection. */
static int collect_by(const struct place *p, const char *const *texts)
{
    struct script script;

    script_listen(&script, p->submit, texts);
    int code = collect(p);
    script_finish(&script);
    unlink(p->submit);
    return code;
}

#define SENDER "S 250 x\nC MAIL FROM:<a@x.example>\nS 250 ok\n"
#define HELLO "S 220 x\nC EHLO uid-*\n" SENDER
#define BYE "C QUIT\nS 221 bye\n"
#define TAKEN_REST "C RCPT TO:<b@x.example>\nS 250 ok\nC DATA\nS 354 go\nD\nS 250 queued\n" BYE
#define TAKEN HELLO TAKEN_REST

static void accepted_ones_are_removed(void **state)
{
    static const char *const texts[] = {TAKEN, TAKEN, NULL};
    struct script script;
    struct place p;

    place_make(&p);
    drop(&p, 1);
    drop(&p, 1);
    script_listen(&script, p.submit, texts);
    assert_int_equal(collect(&p), CLI_OK);
    pthread_join(script.thread, NULL);
    char expected[128];
    snprintf(expected, sizeof(expected), "Received: by host.example (drop folder, user id %u);\n ",
             (unsigned)geteuid());
    assert_memory_equal(script.data.data, expected, strlen(expected));
    assert_string_equal(script.wrong, "");
    buffer_done(&script.data);
    close(script.listener);
    assert_int_equal(take_names(&p, ""), 0);
    place_remove(&p);
}

static void without_a_server_all_stays(void **state)
{
    struct place p;

    place_make(&p);
    drop(&p, 1);
    assert_int_equal(collect(&p), CLI_UNREACHED);
    assert_int_equal(take_names(&p, DROP_PREFIX), 1);
    place_remove(&p);
}

static void one_answer_for_one_file(const char *text, int code, const char *prefix)
{
    const char *const texts[] = {text, NULL};
    struct place p;

    place_make(&p);
    drop(&p, 1);
    assert_int_equal(collect_by(&p, texts), code);
    assert_int_equal(take_names(&p, prefix), 1);
    assert_int_equal(take_names(&p, ""), 0);
    place_remove(&p);
}

static void answers(void **state)
{
    one_answer_for_one_file(HELLO "C RCPT TO:<b@x.example>\nS 550 5.1.1 who\n" BYE, CLI_BAD_NEWS,
                            DROP_ASIDE_PREFIX);
    one_answer_for_one_file(HELLO "C RCPT TO:<b@x.example>\nS 452 later\n" BYE, CLI_UNREACHED,
                            DROP_PREFIX);
    one_answer_for_one_file(HELLO "X\n", CLI_UNREACHED, DROP_PREFIX);
    /* The reply to the dot was lost: sent again rather than lost. */
    one_answer_for_one_file(HELLO "C RCPT TO:<b@x.example>\nS 250 ok\nC DATA\nS 354 go\nD\nX\n",
                            CLI_UNREACHED, DROP_PREFIX);
}

static void format_put_off(char out[static NAME_MAX + 1], int64_t since_s, int64_t last_s)
{
    snprintf(out, NAME_MAX + 1, DROP_SINCE_PREFIX "%lld-%lld.", (long long)since_s,
             (long long)last_s);
}

static void write_letter(const struct place *p, const char *name, const char *more)
{
    char text[256];

    snprintf(text, sizeof(text),
             "postbuch drop 1\nsender a@x.example\nrecipient b@x.example\n%s\nx\n", more);
    write_file(p, name, text);
}

/* A letter over which the server closes delays no other, and is set aside after a day of it. */
static void a_letter_that_ends_the_dialogue_stops_only_itself(void **state)
{
    static const char *const texts[] = {HELLO "X\n", HELLO "X\n", HELLO "X\n", NULL};
    char name[NAME_MAX + 1];
    struct place p;

    format_put_off(name, 1000, time(NULL) - 60);
    place_make(&p);
    drop(&p, 1);
    drop(&p, 1);
    memset(name + strlen(name), 'n', NAME_MAX - strlen(name));
    write_letter(&p, name, "");
    assert_int_equal(collect_by(&p, texts), CLI_UNREACHED);
    assert_int_equal(take_names(&p, DROP_ASIDE_PREFIX "nnn"), 1);
    assert_int_equal(take_names(&p, DROP_SINCE_PREFIX), 2);
    place_remove(&p);
}

/* Of a server that greets nobody no letter is to blame: none is put off, and the next isn't tried,
 * which would wait as long. */
static void without_a_greeting_all_stays(void **state)
{
    static const char *const greetings[] = {"X\n", "S 421 busy\nX\n", "S 554 no\nX\n"};

    for (size_t i = 0; i < ARRAY_SIZE(greetings); i++) {
        const char *const texts[] = {greetings[i], NULL};
        struct place p;

        place_make(&p);
        drop(&p, 1);
        drop(&p, 1);
        assert_int_equal(collect_by(&p, texts), CLI_UNREACHED);
        assert_int_equal(take_names(&p, DROP_SINCE_PREFIX), 0);
        assert_int_equal(take_names(&p, DROP_PREFIX), 2);
        place_remove(&p);
    }
}

/* Its writer can make the name that it would get, as a folder that isn't empty, too; and another
 * letter may lie there under it. */
static void a_name_that_is_taken(void **state)
{
    char path[160], inside[170];
    struct place p;

    place_make(&p);
    snprintf(path, sizeof(path), "%s/aside.a", p.drop);
    snprintf(inside, sizeof(inside), "%s/x", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mkdir(inside, 0700), 0);
    write_file(&p, "mail.a", "nonsense");
    write_file(&p, "aside.y", "another");
    write_file(&p, "mail.y", "nonsense");
    assert_int_equal(collect(&p), CLI_BAD_NEWS);
    assert_int_equal(rmdir(inside), 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(take_names(&p, "aside.y"), 1);
    assert_int_equal(take_names(&p, DROP_ASIDE_PREFIX), 2);
    assert_int_equal(take_names(&p, ""), 0);
    place_remove(&p);
}

#define DEFERRED HELLO "C RCPT TO:<b@x.example>\nS 451 later\n" BYE

static void put_off_once(const struct place *p, const char *name)
{
    static const char *const texts[] = {DEFERRED, NULL};

    print_message("%s\n", name);
    write_letter(p, name, "");
    assert_int_equal(collect_by(p, texts), CLI_UNREACHED);
}

/* Its times are in its name from the first time on. */
static void a_letter_that_is_put_off_tells_since_when(void **state)
{
    static const struct {
        const char *name, *own;
    } cases[] = {
        {"mail.abc", "abc"},
        {"mail.since-99999999999-99999999999.abc", "abc"}, /* a forgery */
        {"mail.since-1000-99999999999.abc", "abc"},
        {"mail.since-99999999999999999999-1.abc", "since-99999999999999999999-1.abc"},
        {"mail.since-1000.abc", "since-1000.abc"},
        {"mail.since--.abc", "since--.abc"},
        {"mail.since-1000-1000", "since-1000-1000"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char name[NAME_MAX + 1];
        int found = 0;
        struct place p;

        place_make(&p);
        int64_t now_s = time(NULL);
        put_off_once(&p, cases[i].name);
        for (int64_t end_s = time(NULL); now_s <= end_s; now_s++) {
            format_put_off(name, now_s, now_s);
            strcat(name, cases[i].own);
            found += take_names(&p, name);
        }
        assert_int_equal(found, 1);
        place_remove(&p);
    }
}

/* After a day only a person can tell what to do; but of a day in which nobody tried, that is no
 * time of the letter's. */
static void a_letter_is_put_off_for_a_day_of_tries(void **state)
{
    enum { DAY = 86400, HOUR = 3600 };
    static const struct {
        int64_t since_ago, last_ago;
        enum { ASIDE, SAME, NOTED, ANEW } then;
    } cases[] = {
        {DAY + 60, 10, ASIDE},
        {DAY + 60, HOUR - 60, ASIDE},
        {DAY + 60, HOUR + 60, ANEW}, /* the server was off */
        {2 * DAY, 2 * DAY, ANEW},
        {DAY + 60, -HOUR, ANEW}, /* the clock was set back */
        {DAY - 600, 10, SAME},
        {DAY - 600, HOUR / 2 + 60, NOTED},
        {60, 120, ANEW},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char name[NAME_MAX + 1], since[NAME_MAX + 1];
        int64_t now_s = time(NULL);
        struct place p;

        place_make(&p);
        format_put_off(name, now_s - cases[i].since_ago, now_s - cases[i].last_ago);
        strcat(name, "abc");
        strcpy(since, name);
        strrchr(since, '-')[1] = '\0';
        put_off_once(&p, name);
        assert_int_equal(take_names(&p, "aside.abc"), cases[i].then == ASIDE);
        assert_int_equal(take_names(&p, name), cases[i].then == SAME);
        assert_int_equal(take_names(&p, since), cases[i].then == NOTED);
        assert_int_equal(take_names(&p, DROP_SINCE_PREFIX), cases[i].then == ANEW);
        place_remove(&p);
    }
}

#define PARTLY                                                                                     \
    HELLO "C RCPT TO:<b@x.example>\nS 250 ok\nC RCPT TO:<c@x.example>\nS 550 who\n"                \
          "C DATA\nS 354 go\nD\nS 250 queued\n" BYE

/* Without room for what is left, all of it is set aside: still there, and not sent again. */
static void partly_refused_on_a_full_disk(void **state)
{
    static const char *const texts[] = {PARTLY, NULL};
    struct rlimit all, none;
    struct script script;
    struct place p;

    place_make(&p);
    drop(&p, 2);
    script_listen(&script, p.submit, texts);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
    none = (struct rlimit){0, all.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    int code = collect(&p);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    script_finish(&script);
    assert_int_equal(code, CLI_BAD_NEWS);
    assert_int_equal(take_names(&p, DROP_ASIDE_PREFIX), 1);
    assert_int_equal(take_names(&p, ""), 0);
    place_remove(&p);
}

/* The only letter whose name begins so; `left` lives in `arena`. */
static void read_letter(const struct place *p, const char *prefix, struct arena *arena,
                        struct submission *left)
{
    DIR *dir = opendir(p->drop);
    struct dirent *entry;
    char bytes[512];

    while ((entry = readdir(dir)) && strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
        ;
    assert_non_null(entry);
    int fd = openat(dirfd(dir), entry->d_name, O_RDONLY);
    ssize_t size = read(fd, bytes, sizeof(bytes));
    assert_true(size > 0);
    struct span copy = arena_copy(arena, span_of(bytes, (size_t)size));
    assert_int_equal(drop_parse(copy, arena, left), 0);
    close(fd);
    closedir(dir);
    assert_int_equal(take_names(p, prefix), 1);
}

/* Who was served isn't served twice: only the refused recipient is left, set aside. */
static void partly_refused(void **state)
{
    static const char *const texts[] = {PARTLY, NULL};
    struct arena arena = ARENA_INIT;
    struct submission left;
    struct place p;

    place_make(&p);
    drop(&p, 2);
    assert_int_equal(collect_by(&p, texts), CLI_BAD_NEWS);
    read_letter(&p, DROP_ASIDE_PREFIX, &arena, &left);
    assert_int_equal(left.recipient_count, 1);
    assert_span(left.recipients[0], "c@x.example");
    arena_done(&arena);
    place_remove(&p);
}

#define PARTLY_LATER(ANSWER)                                                                       \
    HELLO "C RCPT TO:<b@x.example>\nS 451 later\nC RCPT TO:<c@x.example>\nS 250 ok\n"              \
          "C RCPT TO:<d@x.example>\nS " ANSWER "\nC DATA\nS 354 go\nD\nS 250 queued\n" BYE

/* One whom the server always defers holds up nobody else, and gets it when he can. The trace names
 * who wrote the letter, not whose the rest of it is. */
static void partly_deferred(void **state)
{
    static const char *const first[] = {PARTLY_LATER("550 who"), NULL},
                             *const then[] = {
                                 "S 220 x\nC EHLO uid-77.drop-folder\n" SENDER TAKEN_REST, NULL};
    static const struct span three[] = {
        {"b@x.example", 11}, {"c@x.example", 11}, {"d@x.example", 11}};
    const struct submission s = {.sender = SPAN("a@x.example"),
                                 .recipients = three,
                                 .recipient_count = 3,
                                 .message = SPAN("x\r\n"),
                                 .owner = SPAN("77")};
    struct arena arena = ARENA_INIT;
    struct submission left;
    struct script script;
    struct place p;

    place_make(&p);
    assert_int_equal(drop_write(p.drop, &s), 0);
    assert_int_equal(collect_by(&p, first), CLI_UNREACHED);
    read_letter(&p, DROP_ASIDE_PREFIX, &arena, &left);
    assert_int_equal(left.recipient_count, 1);
    assert_span(left.recipients[0], "d@x.example");
    script_listen(&script, p.submit, then);
    assert_int_equal(collect(&p), CLI_OK);
    pthread_join(script.thread, NULL);
    assert_string_equal(script.wrong, "");
    assert_non_null(strstr(script.data.data, "(drop folder, user id 77);"));
    assert_ptr_equal(strstr(script.data.data + 1, "Received:"), NULL);
    buffer_done(&script.data);
    close(script.listener);
    arena_done(&arena);
    assert_int_equal(take_names(&p, ""), 0);
    place_remove(&p);
}

/* Only the server itself, or root, is believed about who wrote a letter. */
static void others_name_no_owner(void **state)
{
    static const char *const texts[] = {TAKEN, NULL};
    char path[160];
    struct place p;

    if (geteuid() != 0)
        skip();
    place_make(&p);
    write_letter(&p, "mail.forged", "owner 0\n");
    snprintf(path, sizeof(path), "%s/mail.forged", p.drop);
    assert_int_equal(chown(path, 1, 1), 0);
    write_letter(&p, "mail.own", "owner 0\n");
    assert_int_equal(collect_by(&p, texts), CLI_BAD_NEWS);
    assert_int_equal(take_names(&p, DROP_ASIDE_PREFIX "forged"), 1);
    assert_int_equal(take_names(&p, ""), 0);
    place_remove(&p);
}

/* Any user may put these there. None is opened as mail, none stops the good one. */
static void hostile_files(void **state)
{
    static const char *const texts[] = {TAKEN, NULL};
    char path[160], other[160];
    struct place p;

    place_make(&p);
    write_file(&p, "mail.damaged", "nonsense");
    write_file(&p, "mail.empty", "");
    write_file(&p, "mail.twice", "postbuch drop 1\nsender \nrecipient b@x.example\n\n");
    write_file(&p, "unknown", "left alone");
    write_file(&p, "tmp.new", "being written");
    snprintf(path, sizeof(path), "%s/mail.twice", p.drop);
    snprintf(other, sizeof(other), "%s/second", p.drop);
    assert_int_equal(link(path, other), 0);
    snprintf(path, sizeof(path), "%s/mail.link", p.drop);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    snprintf(path, sizeof(path), "%s/mail.pipe", p.drop);
    assert_int_equal(mkfifo(path, 0600), 0);
    drop(&p, 1);
    assert_int_equal(collect_by(&p, texts), CLI_BAD_NEWS);
    assert_int_equal(take_names(&p, DROP_ASIDE_PREFIX), 5);
    assert_int_equal(take_names(&p, DROP_PREFIX), 0);
    assert_int_equal(take_names(&p, ""), 3); /* second, unknown, tmp.new */
    place_remove(&p);
}

/* ---- trouble of this machine ---- */

static struct {
    int opening; /* the error with which letters are opened; 0: none */
    int listing; /* … with which the folder's end comes */
    int writing; /* … that the folder has for who would write to it */
} fault;

int __real_openat64(int folder, const char *name, int flags, ...);
int __wrap_openat64(int folder, const char *name, int flags, ...);
struct dirent *__real_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir);
int __real_faccessat(int folder, const char *name, int mode, int flags);
int __wrap_faccessat(int folder, const char *name, int mode, int flags);

int __wrap_openat64(int folder, const char *name, int flags, ...)
{
    va_list args;

    if (fault.opening && strncmp(name, DROP_PREFIX, strlen(DROP_PREFIX)) == 0) {
        errno = fault.opening;
        return -1;
    }
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return __real_openat64(folder, name, flags, mode);
}

int __wrap_faccessat(int folder, const char *name, int mode, int flags)
{
    if (fault.writing && mode & W_OK) {
        errno = fault.writing;
        return -1;
    }
    return __real_faccessat(folder, name, mode, flags);
}

struct dirent *__wrap_readdir64(DIR *dir)
{
    struct dirent *entry = __real_readdir64(dir);

    if (!entry && fault.listing)
        errno = fault.listing;
    return entry;
}

/* Set aside is for good. What another try may mend has its day of them. */
static void a_letter_that_cannot_be_read(void **state)
{
    static const struct {
        int error, code;
        const char *then;
    } cases[] = {
        {EMFILE, CLI_UNREACHED, DROP_SINCE_PREFIX},
        {ENFILE, CLI_UNREACHED, DROP_SINCE_PREFIX},
        {EIO, CLI_UNREACHED, DROP_SINCE_PREFIX},
        {ESTALE, CLI_UNREACHED, DROP_SINCE_PREFIX},
        {ENOMEM, CLI_UNREACHED, DROP_SINCE_PREFIX},
        {EACCES, CLI_BAD_NEWS, DROP_ASIDE_PREFIX},
        {ELOOP, CLI_BAD_NEWS, DROP_ASIDE_PREFIX},
        {ENXIO, CLI_BAD_NEWS, DROP_ASIDE_PREFIX},
        {ENOENT, CLI_OK, DROP_PREFIX}, /* gone, in truth */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct place p;

        print_message("%s\n", strerror(cases[i].error));
        place_make(&p);
        drop(&p, 1);
        fault.opening = cases[i].error;
        assert_int_equal(collect(&p), cases[i].code);
        fault.opening = 0;
        assert_int_equal(take_names(&p, cases[i].then), 1);
        place_remove(&p);
    }
}

static void a_folder_that_cannot_be_read_to_its_end(void **state)
{
    struct place p;

    place_make(&p);
    fault.listing = EIO;
    int code = collect(&p);
    fault.listing = 0;
    assert_int_equal(code, CLI_BAD_NEWS);
    place_remove(&p);
}

/* Where it is tried, the missing server is told of: by another code. */
static void what_cannot_be_removed_is_not_sent(void **state)
{
    struct place p;

    place_make(&p);
    drop(&p, 1);
    fault.writing = EROFS;
    int code = collect(&p);
    fault.writing = 0;
    assert_int_equal(code, CLI_BAD_NEWS);
    assert_int_equal(take_names(&p, DROP_PREFIX), 1);
    place_remove(&p);
}

static void old_halves_are_removed(void **state)
{
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char path[160];
    struct place p;

    place_make(&p);
    write_file(&p, "tmp.old", "half");
    write_file(&p, "tmp.new", "half");
    snprintf(path, sizeof(path), "%s/tmp.old", p.drop);
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_int_equal(collect(&p), CLI_OK);
    assert_int_equal(take_names(&p, "tmp.old"), 0);
    assert_int_equal(take_names(&p, "tmp.new"), 1);
    place_remove(&p);
}

static void no_folder(void **state)
{
    assert_int_equal(collect_folder("/nonexistent/drop", "/nonexistent/submit", "h"), CLI_BAD_NEWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_ones_are_removed),
        cmocka_unit_test(without_a_server_all_stays),
        cmocka_unit_test(answers),
        cmocka_unit_test(without_a_greeting_all_stays),
        cmocka_unit_test(a_name_that_is_taken),
        cmocka_unit_test(a_letter_that_ends_the_dialogue_stops_only_itself),
        cmocka_unit_test(a_letter_that_is_put_off_tells_since_when),
        cmocka_unit_test(a_letter_is_put_off_for_a_day_of_tries),
        cmocka_unit_test(partly_refused),
        cmocka_unit_test(partly_deferred),
        cmocka_unit_test(others_name_no_owner),
        cmocka_unit_test(partly_refused_on_a_full_disk),
        cmocka_unit_test(hostile_files),
        cmocka_unit_test(a_letter_that_cannot_be_read),
        cmocka_unit_test(a_folder_that_cannot_be_read_to_its_end),
        cmocka_unit_test(what_cannot_be_removed_is_not_sent),
        cmocka_unit_test(old_halves_are_removed),
        cmocka_unit_test(no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
