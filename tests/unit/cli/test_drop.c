#include "../unit.h"

#include "cli/drop.h"
#include "failing_sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct span recipients[] = {{"b@x.example", 11}, {"c@x.example", 11}};

static struct buffer read_whole(int folder, const char *name)
{
    struct buffer b = BUFFER_INIT;
    int fd = openat(folder, name, O_RDONLY);
    ssize_t got;

    assert_true(fd >= 0);
    while ((got = read(fd, buffer_reserve(&b, 4096), 4096)) > 0)
        b.size += (size_t)got;
    close(fd);
    return b;
}

static void written_and_read_again(void **state)
{
    const struct submission s = {.sender = SPAN("a@x.example"),
                                 .recipients = recipients,
                                 .recipient_count = 2,
                                 .message = SPAN("Subject: s\r\n\r\nb\r\n"),
                                 .eight_bit = true,
                                 .notify = SPAN("NEVER"),
                                 .envid = SPAN("e1"),
                                 .owner = SPAN("1000")};
    char folder[] = "/tmp/postbuch-drop-XXXXXX";
    struct arena arena = ARENA_INIT;
    struct submission again;
    struct stat st;
    struct dirent *entry;
    int found = 0;

    assert_non_null(mkdtemp(folder));
    umask(0077);
    assert_int_equal(drop_write(folder, &s), 0);
    DIR *dir = opendir(folder);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        found++;
        assert_memory_equal(entry->d_name, DROP_PREFIX, strlen(DROP_PREFIX));
        struct buffer file = read_whole(dirfd(dir), entry->d_name);
        assert_int_equal(fstatat(dirfd(dir), entry->d_name, &st, 0), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
        assert_int_equal(drop_parse(buffer_span(&file), &arena, &again), 0);
        assert_span(again.sender, "a@x.example");
        assert_int_equal(again.recipient_count, 2);
        assert_span(again.recipients[1], "c@x.example");
        assert_span(again.message, "Subject: s\r\n\r\nb\r\n");
        assert_true(again.eight_bit && !again.smtputf8);
        assert_span(again.notify, "NEVER");
        assert_span(again.ret, "");
        assert_span(again.envid, "e1");
        assert_span(again.owner, "1000");
        buffer_done(&file);
        unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    assert_int_equal(found, 1);
    assert_int_equal(rmdir(folder), 0);
    arena_done(&arena);
}

static const struct submission small = {
    .recipients = recipients, .recipient_count = 1, .message = SPAN("then")};

/* Who is told of a failure sends again: then nothing may be there. */
static void what_cannot_be_synced_is_taken_back(void **state)
{
    char folder[] = "/tmp/postbuch-drop-XXXXXX";

    assert_non_null(mkdtemp(folder));
    failing_sync = true;
    assert_int_equal(drop_write(folder, &small), -EIO);
    failing_sync = false;
    assert_int_equal(rmdir(folder), 0);
}

/* What it replaced is gone: to say no would have it done twice. */
static void what_replaced_another_stays(void **state)
{
    struct submission first = small;
    char folder[] = "/tmp/postbuch-drop-XXXXXX", name[DROP_NAME_SIZE];

    first.message = SPAN("first");
    assert_non_null(mkdtemp(folder));
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(drop_write_at(dir, DROP_PREFIX, &first, name), 0);
    failing_sync = true;
    assert_int_equal(drop_replace_at(dir, name, &small), 0);
    failing_sync = false;
    struct buffer file = read_whole(dir, name);
    assert_span(span_from(buffer_span(&file), file.size - 4), "then");
    buffer_done(&file);
    unlinkat(dir, name, 0);
    close(dir);
    assert_int_equal(rmdir(folder), 0);
}

/* It would be promised, and then set aside by who reads it. */
static void what_nobody_would_read_is_not_written(void **state)
{
    struct submission large = small;
    char folder[] = "/tmp/postbuch-drop-XXXXXX";
    void *zeros =
        mmap(NULL, DROP_SIZE_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_ptr_not_equal(zeros, MAP_FAILED);
    assert_non_null(mkdtemp(folder));
    large.message = span_of(zeros, DROP_SIZE_MAX);
    assert_int_equal(drop_write(folder, &large), -EMSGSIZE);
    assert_int_equal(rmdir(folder), 0);
    munmap(zeros, DROP_SIZE_MAX);
}

static void no_folder(void **state)
{
    const struct submission s = {.recipients = recipients, .recipient_count = 1};
    assert_int_equal(drop_write("/nonexistent/folder", &s), -ENOENT);
}

#define HEAD "postbuch drop 1\n"

static void damaged(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        int result;
    } cases[] = {
        {"least", HEAD "sender \nrecipient a@b\n\n", 0},
        {"empty", "", -EBADMSG},
        {"other version", "postbuch drop 2\nsender \nrecipient a@b\n\n", -EBADMSG},
        {"cut in the head", HEAD "sender \nrecipient a@b\n", -EBADMSG},
        {"no sender", HEAD "recipient a@b\n\n", -EBADMSG},
        {"two senders", HEAD "sender a@b\nsender a@c\nrecipient a@b\n\n", -EBADMSG},
        {"no recipient", HEAD "sender a@b\n\n", -EBADMSG},
        {"null recipient", HEAD "sender a@b\nrecipient \n\n", -EBADMSG},
        {"unknown line", HEAD "sender a@b\nrecipient a@b\nroot yes\n\n", -EBADMSG},
        {"command in an address", HEAD "sender a@b> X\nrecipient a@b\n\n", -EBADMSG},
        {"CR in an address", HEAD "sender a@b\nrecipient a@b\r\n\n", -EBADMSG},
        {"command in a parameter", HEAD "sender a@b\nrecipient a@b\nenvid x y\n\n", -EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct arena arena = ARENA_INIT;
        struct submission s;
        print_message("%s\n", cases[i].name);
        assert_int_equal(drop_parse(span_from_cstr(cases[i].text), &arena, &s), cases[i].result);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(written_and_read_again),
                                       cmocka_unit_test(what_cannot_be_synced_is_taken_back),
                                       cmocka_unit_test(what_replaced_another_stays),
                                       cmocka_unit_test(what_nobody_would_read_is_not_written),
                                       cmocka_unit_test(no_folder),
                                       cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
