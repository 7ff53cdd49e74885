/*
 * Every failure becomes a problem in words, with what to do about it; the number is only for the
 * caller.
 */
#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 64 * 1024 };

static int fail(struct conf_problems *problems, struct span name, int error)
{
    static const struct {
        int error;
        const char *mend;
    } mends[] = {
        {ENOENT, "create it, or mend its path"},
        {EACCES, "run as a user who may read it"},
        {EISDIR, "name a file, not a folder"},
        {EMSGSIZE, "make it smaller"},
    };
    const char *mend = "see to the file and its disk";

    for (size_t i = 0; i < ARRAY_SIZE(mends); i++)
        if (mends[i].error == error)
            mend = mends[i].mend;
    conf_error(problems, (struct conf_place){name, 0, 0}, "can't be read (%s); %s",
               error == EMSGSIZE ? "too large" : strerror(error), mend);
    return -error;
}

/* A pipe or device would block or never end. */
static int check_kind(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    return S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

/* From the start, wherever the descriptor stands: another process may have read from it. */
int conf_file_read_fd(int fd, struct span name, struct conf_problems *problems, struct buffer *out)
{
    if (lseek(fd, 0, SEEK_SET) < 0)
        return fail(problems, name, errno);
    for (;;) {
        char piece[PIECE];
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(problems, name, errno);
        if (n == 0)
            return 0;
        int r = buffer_append(out, piece, (size_t)n);
        if (r < 0)
            return fail(problems, name, -r);
    }
}

int conf_path_text(struct span path, char out[static CONF_PATH_MAX])
{
    if (path.size >= CONF_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(out, path.data, path.size);
    out[path.size] = '\0';
    return 0;
}

int conf_file_read(struct span path, struct conf_problems *problems, struct buffer *out)
{
    char text[CONF_PATH_MAX];
    int r = conf_path_text(path, text);

    if (r < 0)
        return fail(problems, path, -r);
    int fd = open(text, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail(problems, path, errno);
    r = check_kind(fd);
    if (r < 0)
        fail(problems, path, -r);
    else
        r = conf_file_read_fd(fd, path, problems, out);
    close(fd);
    return r;
}
