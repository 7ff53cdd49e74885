#include "conf/file.h"
#include "people/people.h"

#include <errno.h>
#include <stdlib.h>

/* A span has no NUL behind it; open(2) needs one. */
static int read_file(struct span name, struct conf_problems *problems, struct buffer *out)
{
    char path[CONF_PATH_MAX];

    if (name.size >= sizeof(path))
        return -ENAMETOOLONG;
    memcpy(path, name.data, name.size);
    path[name.size] = '\0';
    *out = BUFFER_LIMITED(PEOPLE_FILE_MAX);
    return conf_file_read(path, problems, out);
}

static int check(const struct conf_directory *part, struct buffer *texts, struct people_file *files,
                 struct conf_problems *problems)
{
    struct people *people;
    int failed = 0;

    for (size_t i = 0; i < part->file_count; i++) {
        if (read_file(part->files[i].name, problems, &texts[i]) < 0)
            failed = -EINVAL;
        files[i] = (struct people_file){part->files[i].name, buffer_span(&texts[i])};
    }
    /* Whoever a missing file would have named would be reported as nobody. */
    if (failed)
        return failed;
    int r = people_new(part, files, part->file_count, problems, &people);
    if (r == 0)
        people_free(people);
    return r;
}

int people_check_files(const struct conf *conf, struct conf_problems *problems)
{
    struct arena arena = ARENA_INIT;
    struct conf_directory part;
    int r = conf_cut_directory(conf, 0, &arena, &part);

    if (r < 0) {
        arena_done(&arena);
        return r;
    }
    struct buffer *texts = arena_alloc_array(&arena, part.file_count + 1, sizeof(*texts));
    struct people_file *files = arena_alloc_array(&arena, part.file_count + 1, sizeof(*files));
    r = texts && files ? check(&part, texts, files, problems) : -ENOMEM;
    for (size_t i = 0; texts && i < part.file_count; i++)
        buffer_done(&texts[i]);
    arena_done(&arena);
    return r;
}
