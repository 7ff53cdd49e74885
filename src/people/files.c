/*
 * For `postbuch check-config` and a reload: the same table is made as the directory will make, from
 * the files by their paths, and dropped. The directory itself gets open files.
 */
#include "conf/file.h"
#include "people/people.h"
#include "people/users_edit.h"

#include <errno.h>
#include <sys/stat.h>

static void find_hash(void *arg, const struct users_line *line)
{
    bool *found = arg;
    *found |= !span_equal(line->verifiers, SPAN("*"));
}

/* Hashes can be guessed at by whoever reads them. */
static void warn_of_mode(struct span name, struct span text, struct conf_problems *problems)
{
    bool has_hash = false;
    char path[CONF_PATH_MAX];
    struct stat st;

    if (conf_path_text(name, path) < 0 || stat(path, &st) < 0 || !(st.st_mode & S_IROTH))
        return;
    users_each(text, find_hash, &has_hash);
    if (has_hash)
        conf_warn(problems, (struct conf_place){name, 0, 0},
                  "everybody on this machine can read the hashes of passwords; chmod o-r");
}

static bool is_users_file(const struct conf_directory *part, struct span name)
{
    for (size_t i = 0; i < part->domain_count; i++)
        if (span_equal(part->domains[i].users, name))
            return true;
    return false;
}

static int check(const struct conf_directory *part, struct buffer *texts, struct people_file *files,
                 struct conf_problems *problems)
{
    struct people *people;
    int failed = 0;

    for (size_t i = 0; i < part->file_count; i++) {
        texts[i] = BUFFER_LIMITED(PEOPLE_FILE_MAX);
        if (conf_file_read(part->files[i].name, problems, &texts[i]) < 0)
            failed = -EINVAL;
        files[i] = (struct people_file){part->files[i].name, buffer_span(&texts[i])};
        if (is_users_file(part, files[i].name))
            warn_of_mode(files[i].name, files[i].text, problems);
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
