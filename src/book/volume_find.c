/* The finding aid of a volume: opened and written with it, and made anew from its rows where there
 * is none or a damaged one. */
#include "book/find_keys.h"
#include "book/volume_impl.h"

#include <errno.h>

static int add_key(void *arg, enum find_kind kind, struct span text, const struct id *message)
{
    return find_add(arg, kind, text, message);
}

/* Within a transaction. */
static int make(struct volume *v)
{
    int r = find_make(v->find);

    if (r == 0)
        r = find_keys(&v->db, v->find, add_key);
    if (r == 0)
        r = find_write(v->find);
    if (r == 0 && !find_is_there(v->find))
        r = -EUCLEAN;
    return r;
}

int volume_write_find(struct volume *v)
{
    int r = v->find ? find_write(v->find) : 0;

    return r < 0 || !v->find || find_is_there(v->find) ? r : make(v);
}

int volume_open_find(struct volume *v)
{
    int r = find_writer_new(&v->db, &v->find);

    if (r < 0 || find_is_there(v->find))
        return r;
    r = db_exec(&v->db, "BEGIN IMMEDIATE");
    if (r == 0)
        r = make(v);
    return r < 0 ? r : db_exec(&v->db, "COMMIT");
}
