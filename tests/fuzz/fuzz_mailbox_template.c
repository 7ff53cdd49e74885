/* A template and an address, divided by the first LF: whatever both are, the path stays below the
 * prefix and is short enough. */
#include "fuzz.h"

#include "conf/template.h"

static void check_path(const char *path)
{
    assert(strlen(path) < CONF_TEMPLATE_PATH_MAX && path[0] != '/' && path[0]);
    while (*path) {
        size_t size = strcspn(path, "/");
        assert(size > 0 && size <= CONF_TEMPLATE_PART_MAX);
        assert(strncmp(path, ".", size) != 0);
        assert(size != 2 || strncmp(path, "..", 2) != 0);
        path += size + (path[size] == '/');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    ptrdiff_t lf = span_find(in, '\n');
    struct conf_template t;
    const char *why = NULL;
    char path[CONF_TEMPLATE_PATH_MAX];

    if (lf < 0)
        return 0;
    if (conf_template_parse(span_first(in, (size_t)lf), &t, &why) < 0) {
        assert(why);
        return 0;
    }
    assert(t.prefix[0] == '/');
    if (conf_template_expand(&t, span_from(in, (size_t)lf + 1), path) == 0)
        check_path(path);
    conf_template_done(&t);
    return 0;
}
