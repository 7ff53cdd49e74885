/*
 * Files come one by one and are kept as text until all are there, since aliases of one may mean
 * users of another. Then the table is made, and the texts go.
 */
#include "proc/directory/generation.h"

#include "base/log.h"
#include "conf/file.h"
#include <errno.h>
#include <unistd.h>

static void drop_files(struct generation *g)
{
    for (struct generation_file *f = g->files; f; f = f->next)
        buffer_done(&f->text);
    g->files = NULL;
    g->file_count = 0;
}

void generation_done(struct generation *g)
{
    drop_files(g);
    people_free(g->people);
    conf_problems_done(&g->problems);
    arena_done(&g->arena);
    *g = (struct generation){0};
}

int generation_begin(struct generation *g, struct span part)
{
    generation_done(g);
    conf_problems_init(&g->problems);
    return codec_decode(&conf_directory_codec, part, &g->arena, &g->conf);
}

int generation_add_file(struct generation *g, struct span name, int fd)
{
    struct generation_file *file = NULL;

    if (g->file_count < GENERATION_FILES_MAX)
        file = arena_alloc(&g->arena, sizeof(*file));
    if (file)
        file->name = arena_copy(&g->arena, name);
    if (!file || !file->name.data) {
        close(fd);
        return -ENOMEM;
    }
    file->text = BUFFER_LIMITED(PEOPLE_FILE_MAX);
    file->next = g->files;
    g->files = file;
    g->file_count++;
    int r = conf_file_read_fd(fd, file->name, &g->problems, &file->text);
    g->lacks_memory = g->lacks_memory || r == -ENOMEM;
    close(fd);
    return 0;
}

static int make_table(struct generation *g)
{
    struct people_file *files = arena_alloc_array(&g->arena, g->file_count + 1, sizeof(*files));
    size_t count = 0;

    if (!files)
        return -ENOMEM;
    for (struct generation_file *f = g->files; f; f = f->next)
        files[count++] = (struct people_file){f->name, buffer_span(&f->text)};
    return people_new(&g->conf, files, count, &g->problems, &g->people);
}

static bool has_file(const struct generation *g, struct span name)
{
    for (const struct generation_file *f = g->files; f; f = f->next)
        if (span_equal(f->name, name))
            return true;
    return false;
}

/* The supervisor sends no file that it can't open, and has said why. */
static void require_files(struct generation *g)
{
    for (size_t i = 0; i < g->conf.file_count; i++)
        if (!has_file(g, g->conf.files[i].name))
            conf_error(&g->problems, (struct conf_place){g->conf.files[i].name, 0, 0},
                       "didn't arrive; see that it exists, and reload");
}

static void log_problems(struct conf_problems *problems)
{
    conf_problems_sort(problems);
    for (size_t i = 0; i < problems->count; i++) {
        struct buffer line = BUFFER_INIT;
        conf_problem_format(&problems->items[i], &line);
        if (problems->items[i].severity == CONF_ERROR)
            log_error(SPAN_FMT, SPAN_ARG(buffer_span(&line)));
        else
            log_warn(SPAN_FMT, SPAN_ARG(buffer_span(&line)));
        buffer_done(&line);
    }
}

int generation_finish(struct generation *g)
{
    require_files(g);
    /* Without one of its files the table would call people unknown who aren't, and files empty that
     * couldn't be read. */
    int r = g->lacks_memory           ? -ENOMEM /* who says so gets them again */
            : g->problems.error_count ? -EINVAL
                                      : make_table(g);

    drop_files(g);
    log_problems(&g->problems);
    conf_problems_done(&g->problems);
    return r;
}
