/*
 * Feeds every file of a corpus folder, and every prefix of the small ones, to a fuzz target: so the
 * corpora run as ordinary tests. Each input lies in memory of exactly its size, so that the address
 * sanitizer sees the first byte read past it. An empty or missing folder is a failure.
 *
 *     fuzz_NAME [--whole] CORPUS…      (folders or files)
 *
 * --whole: no prefixes, for the targets that take their time.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PREFIXES_UP_TO = 2048 };

static bool whole;

static void feed(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    assert(exact);
    if (size)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (!file || fstat(fileno(file), &info) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        if (file)
            fclose(file);
        return 1;
    }
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size + 1);
    assert(data);
    size_t got = fread(data, 1, size, file);
    fclose(file);
    feed(data, got);
    for (size_t prefix = 0; !whole && got <= PREFIXES_UP_TO && prefix < got; prefix++)
        feed(data, prefix);
    free(data);
    return 0;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int replay_folder(const char *folder)
{
    struct dirent **entries;
    int failed = 0, count = scandir(folder, &entries, visible, alphasort);
    if (count <= 0) {
        fprintf(stderr, "%s: no corpus\n", folder);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        char *path;
        assert(asprintf(&path, "%s/%s", folder, entries[i]->d_name) > 0);
        failed |= replay_file(path);
        free(path);
        free(entries[i]);
    }
    free(entries);
    printf("%s: %d inputs\n", folder, count);
    return failed;
}

int main(int argc, char **argv)
{
    whole = argc > 1 && strcmp(argv[1], "--whole") == 0;
    int first = whole ? 2 : 1, failed = argc <= first;
    for (int i = first; i < argc; i++) {
        struct stat info;
        bool folder = stat(argv[i], &info) == 0 && S_ISDIR(info.st_mode);
        failed |= folder ? replay_folder(argv[i]) : replay_file(argv[i]);
    }
    return failed;
}
