/*
 * The lock is held for the list only, never for the disk: two threads may open the same folder at
 * once, and adopt() keeps one of the two. A folder that is taken out of the list while somebody
 * uses it is closed by its last user.
 */
#include "proc/mailbox/cache.h"

#include "base/clock.h"
#include <errno.h>

void mailbox_cache_init(struct mailbox_cache *cache, unsigned max)
{
    *cache = (struct mailbox_cache){.max = max};
    pthread_mutex_init(&cache->lock, NULL);
    list_init(&cache->folders);
    mailbox_records_init(&cache->records, MAILBOX_RECORDS_MAX);
}

/* It is in no list and in nobody's use. What is known of the mailbox stays. */
static void bury(struct mailbox_cache *cache, struct mailbox_folder *folder, struct list *dead)
{
    mailbox_records_release(&cache->records, folder->record);
    folder->record = NULL;
    list_append(dead, &folder->link);
}

/* Takes it out of the cache, into `dead` unless its last user will close it. */
static void forget(struct mailbox_cache *cache, struct mailbox_folder *folder, struct list *dead)
{
    list_remove(&folder->link);
    cache->count--;
    if (folder->references == 0)
        bury(cache, folder, dead);
}

/* Not under the lock: closing descriptors may wait for the disk. */
static void free_all(struct list *dead)
{
    for (struct list *link; (link = list_take_first(dead));)
        mailbox_folder_free(CONTAINER_OF(link, struct mailbox_folder, link));
}

void mailbox_cache_done(struct mailbox_cache *cache)
{
    struct list dead;

    list_init(&dead);
    LIST_EACH(&cache->folders, link)
    forget(cache, CONTAINER_OF(link, struct mailbox_folder, link), &dead);
    free_all(&dead);
    mailbox_records_done(&cache->records);
    pthread_mutex_destroy(&cache->lock);
}

/* By the root's address: roots stay for the life of the process. Linear, for some hundred folders;
 * the disk behind it is thousands of times slower. */
static struct mailbox_folder *find(struct mailbox_cache *cache, const struct mailbox_root *root,
                                   const char *path)
{
    LIST_EACH(&cache->folders, link)
    {
        struct mailbox_folder *folder = CONTAINER_OF(link, struct mailbox_folder, link);
        if (folder->record->root == root && strcmp(folder->record->path, path) == 0)
            return folder;
    }
    return NULL;
}

/* Puts it in front and counts the user. */
static void use(struct mailbox_cache *cache, struct mailbox_folder *folder)
{
    list_remove(&folder->link);
    list_prepend(&cache->folders, &folder->link);
    folder->references++;
}

/* Closes what is too much and in nobody's use, the least recently used first. From the tail; one
 * that is in use is passed by, so the cache may be larger than `max` for a while. */
static void shrink(struct mailbox_cache *cache, struct list *dead)
{
    for (struct list *link = cache->folders.prev; cache->count > cache->max;) {
        struct mailbox_folder *folder = CONTAINER_OF(link, struct mailbox_folder, link);
        link = link->prev;
        if (folder->references == 0)
            forget(cache, folder, dead);
        if (link == &cache->folders)
            return;
    }
}

/* A freshly opened folder, or the one that was known, when it is still the same. */
static struct mailbox_folder *adopt(struct mailbox_cache *cache, struct mailbox_folder *fresh,
                                    int64_t now_ms, struct list *dead)
{
    struct mailbox_folder *known = find(cache, fresh->record->root, fresh->record->path);

    if (known && mailbox_folder_same(known, fresh)) {
        list_append(dead, &fresh->link);
        fresh = known;
    } else {
        if (known)
            forget(cache, known, dead);
        fresh->record = mailbox_records_adopt(&cache->records, fresh->record);
        cache->count++;
    }
    fresh->opened_ms = now_ms;
    use(cache, fresh);
    shrink(cache, dead);
    return fresh;
}

/* Under the lock, so that of all threads that find it due one does it. */
static bool claim_sweep(struct mailbox_record *record, int64_t now_ms)
{
    if (record->swept_ms && now_ms - record->swept_ms < MAILBOX_CACHE_SWEEP_MS)
        return false;
    record->swept_ms = now_ms;
    return true;
}

/* What the administrator must do about the trouble that mailbox_root_look() found. */
static const char *root_mend(const struct mailbox_root *root, int trouble)
{
    if (trouble == -ENOTDIR)
        return "move away what is in its place and is no folder";
    if (trouble == -ENOENT)
        return root->fd < 0 ? "make or mount it" : "put it back";
    switch (root->error) {
    case -EACCES:
    case -EPERM:
        return "let root and the user that delivers mail look there";
    case -ENOENT:
    case -ENOTDIR:
        return "make or mount it where the user that delivers mail may look";
    default:
        return "see to that";
    }
}

/* Why it couldn't be opened is told only where that is so still. */
static void say_unusable(struct mailbox_outcome *outcome, const struct mailbox_root *root,
                         int trouble)
{
    const char *why = strerrordesc_np(trouble == -EACCES ? -root->error : -trouble);

    mailbox_outcome_set(outcome, IPC_OUTCOME_DEFERRED, "4.3.5",
                        "the mailbox can't be written: can't open the folder of mailboxes %s (%s): "
                        "the administrator must %s",
                        root->path, why ? why : "unknown error", root_mend(root, trouble));
    outcome->scope = IPC_SCOPE_DESTINATION;
}

/* RFC 3463, x.3.2: system not accepting messages. */
static void say_stuck(struct mailbox_outcome *outcome, const struct mailbox_root *root)
{
    mailbox_outcome_set(outcome, IPC_OUTCOME_DEFERRED, "4.3.2",
                        "the mailbox can't be written: the folder of mailboxes at %s can't be "
                        "opened anew while a disk with mailboxes doesn't answer: the administrator "
                        "must see to that disk, or restart the server",
                        root->path);
    outcome->scope = IPC_SCOPE_DESTINATION;
}

/* Nothing was tried when another folder is there now: this process ends for it, and the next one is
 * there in a moment. Not so while a disk hangs: it would have to be waited for, and all other mail
 * with it. One that is gone stops all that lies in it until somebody acts. */
static int look_at_root(struct mailbox_cache *cache, const struct mailbox_root *root,
                        struct mailbox_outcome *outcome)
{
    int r = mailbox_root_look(root);

    if (r == -ESTALE && atomic_load(&cache->stuck)) {
        say_stuck(outcome, root);
    } else if (r == -ESTALE) {
        atomic_store(&cache->outdated, true);
        mailbox_outcome_set(outcome, IPC_OUTCOME_UNTRIED, "4.3.2",
                            "the mailbox can't be written: another folder is at %s now",
                            root->path);
        outcome->scope = IPC_SCOPE_OURS;
    } else if (r < 0) {
        say_unusable(outcome, root, r);
    }
    return r;
}

static bool is_trusted(const struct mailbox_folder *folder, int64_t now_ms)
{
    return now_ms - folder->opened_ms <= MAILBOX_CACHE_TRUST_MS;
}

int mailbox_cache_look(struct mailbox_cache *cache, const struct mailbox_folder *folder,
                       struct mailbox_outcome *outcome)
{
    pthread_mutex_lock(&cache->lock);
    bool trusted = is_trusted(folder, clock_monotonic_ms());
    pthread_mutex_unlock(&cache->lock);
    return trusted ? 0 : look_at_root(cache, folder->record->root, outcome);
}

int mailbox_cache_get(struct mailbox_cache *cache, const struct mailbox_root *root,
                      const char *path, struct mailbox_outcome *outcome,
                      struct mailbox_folder **out)
{
    int64_t now_ms = clock_monotonic_ms();
    struct mailbox_folder *fresh;
    struct list dead;

    pthread_mutex_lock(&cache->lock);
    struct mailbox_folder *folder = find(cache, root, path);
    if (folder && !is_trusted(folder, now_ms))
        folder = NULL;
    if (folder)
        use(cache, folder);
    pthread_mutex_unlock(&cache->lock);
    if (folder) {
        *out = folder;
        return 0;
    }
    int r = look_at_root(cache, root, outcome);
    if (r == 0)
        r = mailbox_folder_open(root, path, outcome, &fresh);
    if (r < 0)
        return r;
    list_init(&dead);
    pthread_mutex_lock(&cache->lock);
    folder = adopt(cache, fresh, now_ms, &dead);
    bool sweep = claim_sweep(folder->record, now_ms);
    pthread_mutex_unlock(&cache->lock);
    free_all(&dead);
    /* Outside the lock, by whoever found it due: it may look at thousands of names. */
    if (sweep)
        mailbox_folder_sweep(folder, clock_wall_us() / 1000000);
    *out = folder;
    return 0;
}

void mailbox_cache_put(struct mailbox_cache *cache, struct mailbox_folder *folder)
{
    struct list dead;

    list_init(&dead);
    pthread_mutex_lock(&cache->lock);
    folder->references--;
    if (folder->references == 0 && !list_is_linked(&folder->link))
        bury(cache, folder, &dead); /* it was forgotten meanwhile */
    else
        shrink(cache, &dead);
    pthread_mutex_unlock(&cache->lock);
    free_all(&dead);
}

void mailbox_cache_distrust(struct mailbox_cache *cache, struct mailbox_folder *folder)
{
    pthread_mutex_lock(&cache->lock);
    folder->opened_ms = INT64_MIN / 2;
    pthread_mutex_unlock(&cache->lock);
}
