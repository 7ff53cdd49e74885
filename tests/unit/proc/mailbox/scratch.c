#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int scratch_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    const char *base = getenv("TMPDIR");

    snprintf(s->path, sizeof(s->path), "%s/postbuch-mailbox-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(s->path));
    s->root.path = s->path;
    s->root.fd = open(s->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(s->root.fd >= 0);
    *state = s;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

int scratch_teardown(void **state)
{
    struct scratch *s = *state;
    close(s->root.fd);
    int r = nftw(s->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(s);
    return r;
}

void scratch_mkdir(const struct scratch *s, const char *path)
{
    char full[1024];
    int size = snprintf(full, sizeof(full), "%s/", s->path);

    for (const char *c = path;; c++) {
        if (*c == 0 || *c == '/') {
            full[size] = 0;
            assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
        }
        if (*c == 0)
            return;
        full[size++] = *c;
    }
}

void scratch_write(const struct scratch *s, const char *path, const char *text)
{
    char full[1024];
    snprintf(full, sizeof(full), "%s/%s", s->path, path);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

unsigned scratch_count(const struct scratch *s, const char *folder)
{
    char full[1024];
    unsigned count = 0;

    snprintf(full, sizeof(full), "%s/%s", s->path, folder);
    DIR *dir = opendir(full);
    if (!dir)
        return 0;
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

struct span scratch_only_file(const struct scratch *s, const char *folder,
                              char out_name[static 256])
{
    char full[2048];
    struct stat st;

    assert_int_equal(scratch_count(s, folder), 1);
    snprintf(full, sizeof(full), "%s/%s", s->path, folder);
    DIR *dir = opendir(full);
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            snprintf(out_name, 256, "%s", entry->d_name);
    closedir(dir);
    snprintf(full, sizeof(full), "%s/%s/%s", s->path, folder, out_name);
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    char *data = malloc((size_t)st.st_size + 1);
    assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
    close(fd);
    return span_of(data, (size_t)st.st_size);
}
