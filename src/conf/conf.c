#include "conf/conf.h"

#include "conf/check.h"
#include "conf/file.h"
#include "conf/keys.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

enum { MEMORY_MAX = 256 * 1024 * 1024 };

static int parse(struct conf *c, struct span text, struct conf_problems *problems)
{
    struct conf_node *root;
    int r = conf_tree_parse(text, c->file, &c->arena, problems, &root);

    if (r < 0)
        return r;
    struct conf_reader reader = {&c->arena, problems, c->folder, 0};
    c->root = root;
    conf_set_defaults(c);
    conf_schema_read(&reader, &conf_file_schema, root, c);
    if (reader.error)
        return reader.error;
    conf_check(c, problems);
    return problems->error_count ? -EINVAL : 0;
}

int conf_parse(struct span text, struct span file, struct span folder,
               struct conf_problems *problems, struct conf *out)
{
    struct conf c = {.arena = ARENA_LIMITED(MEMORY_MAX)};
    int r;

    c.file = arena_copy(&c.arena, file);
    c.folder = arena_copy(&c.arena, folder);
    r = c.file.data && c.folder.data ? parse(&c, text, problems) : -ENOMEM;
    if (r < 0) {
        conf_done(&c);
        c = (struct conf){0};
    }
    *out = c;
    return r;
}

/* The folder that holds the file, absolute; "" when it can't be found. */
static struct span folder_of(const char *path, char out[static PATH_MAX])
{
    char *real = realpath(path, out);
    ptrdiff_t slash = real ? span_find_last(span_from_cstr(out), '/') : -1;

    return slash > 0 ? span_of(out, (size_t)slash) : SPAN("");
}

int conf_load(const char *path, struct conf_problems *problems, struct conf *out)
{
    struct buffer text = BUFFER_LIMITED(CONF_TREE_TEXT_MAX + 1);
    char folder[PATH_MAX];
    int r = conf_file_read(path, problems, &text);

    *out = (struct conf){0};
    if (r == 0)
        r = conf_parse(buffer_span(&text), span_from_cstr(path), folder_of(path, folder), problems,
                       out);
    buffer_done(&text);
    return r;
}

void conf_done(struct conf *c)
{
    arena_done(&c->arena);
    *c = (struct conf){0};
}
