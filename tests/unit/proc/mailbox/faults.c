#include "faults.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    enum fault_call call;
    int nth, times, what;
} fault;
static struct {
    void (*fn)(void *arg);
    void *arg;
} before_fsync;
static atomic_int calls[FAULT_CALL_COUNT];

void fault_set(enum fault_call call, int nth, int times, int what)
{
    fault_clear();
    fault.call = call;
    fault.nth = nth;
    fault.times = times;
    fault.what = what;
}

void fault_clear(void)
{
    fault.times = 0;
    for (int i = FAULT_ANY; i < FAULT_CALL_COUNT; i++)
        calls[i] = 0;
}

void fault_before_fsync(void (*fn)(void *arg), void *arg)
{
    before_fsync.fn = fn;
    before_fsync.arg = arg;
}

int fault_calls(enum fault_call call)
{
    return calls[call];
}

/* The fault that strikes this call, or 0. */
static int strike(enum fault_call call)
{
    bool changes = call != FAULT_READDIR && call != FAULT_FSTATAT;
    int any = changes ? ++calls[FAULT_ANY] : 0, own = ++calls[call];
    int nth = fault.call == FAULT_ANY ? any : own;

    if (fault.call != call && (fault.call != FAULT_ANY || !changes))
        return 0;
    if (nth < fault.nth || nth >= fault.nth + fault.times)
        return 0;
    if (fault.what == FAULT_KILL)
        raise(SIGKILL);
    if (fault.what > 0)
        errno = fault.what;
    return fault.what;
}

ssize_t __real_writev(int fd, const struct iovec *parts, int count);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count)
{
    int what = strike(FAULT_WRITEV);
    if (what == FAULT_SHORT)
        return write(fd, parts->iov_base, 1);
    return what ? -1 : __real_writev(fd, parts, count);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    int what = strike(FAULT_FDATASYNC);
    return what == FAULT_LIE ? 0 : what ? -1 : __real_fdatasync(fd);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    void (*fn)(void *arg) = before_fsync.fn;

    before_fsync.fn = NULL;
    if (fn)
        fn(before_fsync.arg);
    int what = strike(FAULT_FSYNC);
    return what == FAULT_LIE ? 0 : what ? -1 : __real_fsync(fd);
}

int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return strike(FAULT_RENAMEAT2) ? -1 : __real_renameat2(from_fd, from, to_fd, to, flags);
}

struct dirent *__real_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir)
{
    return strike(FAULT_READDIR) ? NULL : __real_readdir64(dir);
}

int __real_fstatat64(int fd, const char *name, struct stat *st, int flags);
int __wrap_fstatat64(int fd, const char *name, struct stat *st, int flags);
int __wrap_fstatat64(int fd, const char *name, struct stat *st, int flags)
{
    return strike(FAULT_FSTATAT) ? -1 : __real_fstatat64(fd, name, st, flags);
}

/* Only a beginning of fdatasync(); it lies when that does. */
int __real_sync_file_range(int fd, off_t offset, off_t size, unsigned flags);
int __wrap_sync_file_range(int fd, off_t offset, off_t size, unsigned flags);
int __wrap_sync_file_range(int fd, off_t offset, off_t size, unsigned flags)
{
    bool lie = fault.times > 0 && fault.call == FAULT_FDATASYNC && fault.what == FAULT_LIE;
    return lie ? 0 : __real_sync_file_range(fd, offset, size, flags);
}
