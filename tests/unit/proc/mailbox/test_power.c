/*
 * A power cut: a file system of its own is shut down without writing its journal. What was reported
 * as delivered must be in new/ afterwards, whole. With a sync left out it isn't: so the test sees
 * what it is meant to see. Needs root and loop devices.
 */
#include "faults.h"
#include "scratch.h"

#include "proc/mailbox/maildir.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COUNT = 40, SIZE = 5000 };

/* ext4's and xfs's ioctl; NOLOGFLUSH: as if the power went. */
#define FS_SHUTDOWN _IOR('X', 125, uint32_t)
static const uint32_t NO_LOG_FLUSH = 2;

/* A shell command in which $D is the scratch folder. */
static int run(const char *command, const struct scratch *s)
{
    setenv("D", s->path, 1);
    return system(command);
}

/* False when this machine can't. */
static bool mount_disk(const struct scratch *s)
{
    scratch_mkdir(s, "disk");
    return geteuid() == 0 &&
           run("truncate -s 32M $D/image && mkfs.ext4 -q -F $D/image 2>/dev/null", s) == 0 &&
           run("mount -o loop $D/image $D/disk 2>/dev/null", s) == 0;
}

static void cut_power(const struct scratch *s)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/disk", s->path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, FS_SHUTDOWN, &NO_LOG_FLUSH), 0);
    close(fd);
    assert_int_equal(run("umount $D/disk", s), 0);
    assert_int_equal(run("mount -o loop $D/image $D/disk", s), 0);
}

/* How many files the batch's recipients were told to be delivered. */
static unsigned deliver_batch(const struct scratch *s)
{
    static struct maildir m;
    static struct maildir_delivery deliveries[COUNT];
    struct maildir_delivery *list[COUNT];
    char bytes[SIZE], path[32];
    unsigned delivered = 0;

    memset(bytes, 'x', SIZE);
    maildir_init(&m, SPAN("host.test"), 0, 4);
    for (int i = 0; i < COUNT; i++) {
        struct iovec part = {bytes, SIZE};
        snprintf(path, sizeof(path), "disk/box%d", i % 3);
        deliveries[i] = (struct maildir_delivery){.fd = -1};
        maildir_begin(&m, list[i] = &deliveries[i], &s->root, path, SIZE);
        maildir_write(&m, list[i], &part, 1, 0);
    }
    maildir_commit(&m, list, COUNT);
    for (int i = 0; i < COUNT; i++)
        delivered += list[i]->outcome.result == IPC_OUTCOME_DELIVERED;
    maildir_done(&m);
    return delivered;
}

static unsigned count_whole(const struct scratch *s)
{
    unsigned whole = 0;

    for (int i = 0; i < 3; i++) {
        char folder[512], path[1024];
        struct stat st;
        snprintf(folder, sizeof(folder), "%s/disk/box%d/new", s->path, i);
        DIR *dir = opendir(folder);
        for (const struct dirent *entry; dir && (entry = readdir(dir));) {
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            whole += entry->d_name[0] != '.' && stat(path, &st) == 0 && st.st_size == SIZE;
        }
        if (dir)
            closedir(dir);
    }
    return whole;
}

/* Delivers, cuts the power, and counts what is there. */
static unsigned survivors(struct scratch *s, enum fault_call lying, unsigned *out_delivered)
{
    fault_clear();
    if (lying != FAULT_ANY)
        fault_set(lying, 1, 1000, FAULT_LIE);
    *out_delivered = deliver_batch(s);
    cut_power(s);
    unsigned whole = count_whole(s);
    assert_int_equal(run("umount $D/disk", s), 0);
    return whole;
}

static void delivered_mail_survives(void **state)
{
    struct scratch *s = *state;
    unsigned delivered;

    if (!mount_disk(s))
        skip();
    assert_int_equal(survivors(s, FAULT_ANY, &delivered), COUNT);
    assert_int_equal(delivered, COUNT);
}

static void without_the_files_sync_it_would_not(void **state)
{
    struct scratch *s = *state;
    unsigned delivered;

    if (!mount_disk(s))
        skip();
    assert_true(survivors(s, FAULT_FDATASYNC, &delivered) < delivered);
}

static void without_the_folders_sync_it_would_not(void **state)
{
    struct scratch *s = *state;
    unsigned delivered;

    if (!mount_disk(s))
        skip();
    assert_true(survivors(s, FAULT_FSYNC, &delivered) < delivered);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(delivered_mail_survives),
        TEST(without_the_files_sync_it_would_not),
        TEST(without_the_folders_sync_it_would_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
