/*
 * From a file to a checked struct conf: tree, schema, checks, and at last the parts, cut and
 * encoded for the sake of their sizes. Everything lies in one arena, which the configuration owns.
 */
#include "conf/conf.h"

#include "conf/check.h"
#include "conf/file.h"
#include "conf/glean.h"
#include "conf/keys.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Far over what a file of the largest size makes; a bound all the same. */
enum { MEMORY_MAX = 256 * 1024 * 1024 };

/* A part that doesn't fit its message would stop the server at its start. Found by `check-config`
 * and at a reload, before anything is changed. */
static int check_part(const struct conf *c, const char *process, const struct codec *codec,
                      const void *part, struct conf_problems *problems)
{
    struct buffer wire = BUFFER_LIMITED(CONF_PART_MAX);
    int r = codec_encode(codec, part, &wire);

    buffer_done(&wire);
    if (r == -EMSGSIZE)
        conf_error(problems, (struct conf_place){c->file, 0, 0},
                   "more than %s can take (its part has over %d bytes); use fewer domains or "
                   "shorter paths",
                   process, CONF_PART_MAX);
    return r == -ENOMEM ? r : 0;
}

static int check_parts(const struct conf *c, struct conf_problems *problems)
{
    struct arena arena = ARENA_LIMITED(MEMORY_MAX);
    struct conf_directory directory;
    struct conf_mailbox mailbox;
    struct conf_smtpd smtpd;
    struct conf_queue queue;
    int r = -ENOMEM;

    if (conf_cut_directory(c, 0, &arena, &directory) == 0 &&
        conf_cut_mailbox(c, 0, 0, 0, &arena, &mailbox) == 0 &&
        conf_cut_smtpd(c, 0, 1, &arena, &smtpd) == 0 && conf_cut_queue(c, 0, &arena, &queue) == 0) {
        r = check_part(c, "directory", &conf_directory_codec, &directory, problems);
        if (r == 0)
            r = check_part(c, "mailbox", &conf_mailbox_codec, &mailbox, problems);
        if (r == 0)
            r = check_part(c, "smtpd", &conf_smtpd_codec, &smtpd, problems);
        if (r == 0)
            r = check_part(c, "queue", &conf_queue_codec, &queue, problems);
    }
    arena_done(&arena);
    return r;
}

/* All steps, though an earlier one found faults: whoever mends a file wants to see all of them at
 * once. Only without a tree there is nothing to go on with. */
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
    r = conf_check(c, problems);
    if (r == 0)
        r = check_parts(c, problems);
    if (r < 0)
        return r;
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
    int r = conf_file_read(span_from_cstr(path), problems, &text);

    *out = (struct conf){0};
    if (r == 0)
        r = conf_parse(buffer_span(&text), span_from_cstr(path), folder_of(path, folder), problems,
                       out);
    buffer_done(&text);
    return r;
}

int conf_glean(const char *path, struct conf *out, bool *out_domains_known)
{
    struct buffer text = BUFFER_LIMITED(CONF_TREE_TEXT_MAX + 1);
    struct conf_problems unheard;
    char folder[PATH_MAX];

    conf_problems_init(&unheard);
    int r = conf_file_read(span_from_cstr(path), &unheard, &text);
    conf_problems_done(&unheard);
    if (r == 0)
        r = conf_glean_text(buffer_span(&text), span_from_cstr(path), folder_of(path, folder), out,
                            out_domains_known);
    buffer_done(&text);
    return r;
}

void conf_done(struct conf *c)
{
    arena_done(&c->arena);
    *c = (struct conf){0};
}
