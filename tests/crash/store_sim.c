#include "store_sim.h"

#include "sim_disk.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS_MAX = 8 };

struct store_sim {
    struct sim_disk disk;
    struct prng prng;
    struct store_sim_faults faults;
    unsigned mutants;
    uint64_t capacity;
    unsigned stumble_chance, stumbles_most;
    unsigned stumbles;            /* so many more reads fail, and then one doesn't */
    struct sim_name bad;          /* the segment with the bytes that can't be read … */
    uint64_t bad_from, bad_to;    /* … these; equal: all can */
    uint64_t operations, stop_at; /* stop_at 0: never */
    bool stopped;
    unsigned life; /* raised by each restart; stores of an earlier life are dead */
    const void *lease;
    unsigned open_stores;
    void (*observe)(void *arg, const struct store_sim_operation *operation);
    void *observe_arg;
    void (*turn)(void *arg);
    void *turn_arg;
    uint64_t threads[THREADS_MAX]; /* that are in the middle of something; the last one runs */
    unsigned thread_count;
    uint64_t threads_begun;
    uint64_t owners; /* of the lane, so far */
    const char *breach;
};

struct sim_store {
    struct store store;
    struct store_sim *sim;
    unsigned life;
};

struct store_segment {
    struct sim_store *owner;
    struct sim_file *file;
};

/* Where in an operation the crash comes. */
enum cut { CUT_NONE, CUT_BEFORE, CUT_WITHIN, CUT_AFTER };

static bool is_dead(const struct sim_store *s)
{
    return s->sim->stopped || s->life != s->sim->life;
}

/* Other threads' turn. Is the disk still there behind it? */
static bool enter(const struct sim_store *s)
{
    if (s->sim->turn)
        s->sim->turn(s->sim->turn_arg);
    return !is_dead(s);
}

/* ---- Who writes to what ---- */

static uint64_t running_thread(const struct store_sim *sim)
{
    return sim->thread_count ? sim->threads[sim->thread_count - 1] : 0;
}

static bool is_in_the_middle(const struct store_sim *sim, uint64_t thread)
{
    for (unsigned i = 0; i + 1 < sim->thread_count; i++)
        if (sim->threads[i] == thread)
            return true;
    return false;
}

/* Recovery, which is no thread's, syncs what it can and believes only what it reads. */
static void watch_writer(struct store_sim *sim, struct sim_file *file)
{
    if (!running_thread(sim))
        return;
    if (file->failed && file->failed == sim->owners)
        sim->breach = "a segment is written or synced again after that has failed (rule 6)";
    if (file->writer && is_in_the_middle(sim, file->writer))
        sim->breach = "two threads write or sync a segment at a time";
    file->writer = running_thread(sim);
}

static int written(struct store_sim *sim, struct sim_file *file, int result)
{
    if (result < 0 && running_thread(sim))
        file->failed = sim->owners;
    return result;
}

/* Counts a changing operation and says whether the crash comes in it. */
static enum cut begin(struct store_sim *sim)
{
    if (++sim->operations != sim->stop_at)
        return CUT_NONE;
    sim->stopped = true;
    return CUT_BEFORE + (enum cut)prng_below(&sim->prng, 3);
}

static int finish(struct store_sim *sim, struct store_sim_operation operation, int result)
{
    operation.result = sim->stopped ? -EIO : result;
    if (sim->observe)
        sim->observe(sim->observe_arg, &operation);
    return operation.result;
}

static struct store_sim_operation on_segment(const char *name, const struct store_segment *segment)
{
    bool bulk = segment->file->name.space == SIM_BULK;
    return (struct store_sim_operation){
        .name = name, .kind = bulk ? STORE_BULK : STORE_LOG, .number = segment->file->name.number};
}

static struct sim_name segment_name(enum store_kind kind, uint64_t number)
{
    return (struct sim_name){.space = kind == STORE_BULK ? SIM_BULK : SIM_LOG, .number = number};
}

static struct sim_name file_name(const char *text)
{
    struct sim_name name = {.space = SIM_NAMED};
    assert(strlen(text) < sizeof name.text);
    strcpy(name.text, text);
    return name;
}

/* The end of every operation on names: the directory sync, unless the crash or an error comes
 * before it; the change then is seen, and may or may not be there after a power cut. */
static int sync_names(struct store_sim *sim)
{
    if (sim->stopped || prng_chance(&sim->prng, sim->faults.directory_error))
        return -EIO;
    if (!(sim->mutants & STORE_SIM_NO_DIRECTORY_SYNC))
        sim_disk_sync_names(&sim->disk);
    return 0;
}

static int open_lane(struct store *store, bool read_only)
{
    struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);
    if (is_dead(s))
        return -EIO;
    if (read_only)
        return 0;
    if (s->sim->lease && s->sim->lease != s)
        return -EWOULDBLOCK;
    s->sim->lease = s;
    s->sim->owners++;
    if (begin(s->sim) == CUT_BEFORE)
        return finish(s->sim, (struct store_sim_operation){.name = "open"}, -EIO);
    return finish(s->sim, (struct store_sim_operation){.name = "open"}, sync_names(s->sim));
}

static int is_leased(struct store *store)
{
    struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);
    return is_dead(s) ? -EIO : s->sim->lease != NULL;
}

static int list(struct store *store, void (*found)(void *arg, const struct store_entry *entry),
                void *arg)
{
    struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);
    if (is_dead(s))
        return -EIO;
    LIST_EACH(&s->sim->disk.files, link)
    {
        const struct sim_file *file = CONTAINER_OF(link, struct sim_file, link);
        if ((file->name.space != SIM_LOG && file->name.space != SIM_BULK) || file->is_folder)
            continue;
        found(arg,
              &(struct store_entry){.kind = file->name.space == SIM_LOG ? STORE_LOG : STORE_BULK,
                                    .number = file->name.number,
                                    .size_bytes = file->size});
    }
    return 0;
}

/* Names a file in one atomic step, or not when the crash comes before. */
static int name_file(struct store_sim *sim, enum cut cut, struct sim_file *file,
                     const struct sim_name *name)
{
    if (cut == CUT_BEFORE || prng_chance(&sim->prng, sim->faults.name_error))
        return -EIO;
    sim_disk_rename(&sim->disk, file, name);
    int r = sync_names(sim);
    if (cut == CUT_AFTER) /* durable, but nobody was told */
        sim_disk_sync_names(&sim->disk);
    return r;
}

static struct store_segment *new_handle(struct sim_store *owner, struct sim_file *file)
{
    struct store_segment *segment = calloc(1, sizeof *segment);
    assert(segment);
    *segment = (struct store_segment){owner, file};
    file->open_handles++;
    return segment;
}

static void close_segment(struct store_segment *segment)
{
    struct store_sim *sim = segment->owner->sim;
    segment->file->open_handles--;
    free(segment);
    sim_disk_sweep(&sim->disk);
}

static bool is_full(const struct store_sim *sim, uint64_t more)
{
    return sim->capacity && sim->disk.used_bytes + more > sim->capacity;
}

static int create_error(struct store_sim *sim, uint64_t size)
{
    if (is_full(sim, size))
        return -ENOSPC;
    if (prng_chance(&sim->prng, sim->faults.create_error))
        return prng_below(&sim->prng, 2) ? -ENOSPC : -EIO;
    return 0;
}

static int create_segment(struct store *store, enum store_kind kind, uint64_t number,
                          uint64_t size_bytes, struct store_segment **out)
{
    struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);
    struct sim_name name = segment_name(kind, number);
    struct store_sim_operation operation = {
        .name = "create", .kind = kind, .number = number, .size = size_bytes};

    if (!enter(s))
        return -EIO;
    if (sim_disk_find(&s->sim->disk, &name))
        return -EEXIST;
    enum cut cut = begin(s->sim);
    int r = create_error(s->sim, size_bytes);
    if (r == 0) {
        struct sim_file *file = sim_disk_new_file(&s->sim->disk, size_bytes);
        r = name_file(s->sim, cut, file, &name);
        if (r == 0)
            *out = new_handle(s, file);
        sim_disk_sweep(&s->sim->disk);
    }
    return finish(s->sim, operation, r);
}

static int open_segment(struct store *store, enum store_kind kind, uint64_t number, bool read_only,
                        struct store_segment **out)
{
    struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);
    struct sim_name name = segment_name(kind, number);

    if (is_dead(s))
        return -EIO;
    struct sim_file *file = sim_disk_find(&s->sim->disk, &name);
    if (!file || file->is_folder)
        return file ? -ELOOP : -ENOENT;
    *out = new_handle(s, file);
    return 0;
}

/* Writes the first `limit` bytes of the parts. */
static void write_parts(struct sim_file *file, uint64_t offset, const struct iovec *parts,
                        int count, uint64_t limit)
{
    for (int i = 0; i < count && limit > 0; i++) {
        size_t size = parts[i].iov_len < limit ? parts[i].iov_len : limit;
        sim_file_write(file, offset, parts[i].iov_base, size);
        offset += size;
        limit -= size;
    }
}

static int write_error(struct store_sim *sim)
{
    if (prng_chance(&sim->prng, sim->faults.write_error))
        return -EIO;
    return prng_chance(&sim->prng, sim->faults.write_full) ? -ENOSPC : 0;
}

static int write_segment(struct store_segment *segment, uint64_t offset, const struct iovec *parts,
                         int count)
{
    struct store_sim *sim = segment->owner->sim;
    struct store_sim_operation operation = on_segment("write", segment);
    uint64_t size = 0;

    if (!enter(segment->owner))
        return -EIO;
    watch_writer(sim, segment->file);
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    if (offset > segment->file->size || size > segment->file->size - offset)
        return -EFBIG;
    operation.offset = offset;
    operation.size = size;
    enum cut cut = begin(sim);
    int r = write_error(sim);
    uint64_t done = cut == CUT_BEFORE ? 0 : size;
    if (cut == CUT_WITHIN || r < 0)
        done = prng_below(&sim->prng, size);
    write_parts(segment->file, offset, parts, count, done);
    return written(sim, segment->file, finish(sim, operation, r));
}

static bool sync_is_mutated(const struct store_segment *segment)
{
    unsigned mutants = segment->owner->sim->mutants;
    return segment->file->name.space == SIM_BULK ? mutants & STORE_SIM_NO_BULK_SYNC
                                                 : mutants & STORE_SIM_NO_LOG_SYNC;
}

static int sync_segment(struct store_segment *segment)
{
    struct store_sim *sim = segment->owner->sim;
    struct store_sim_operation operation = on_segment("sync", segment);

    if (!enter(segment->owner))
        return -EIO;
    watch_writer(sim, segment->file);
    segment->file->writer = 0;
    enum cut cut = begin(sim);
    if (cut == CUT_AFTER || cut == CUT_NONE) {
        if (prng_chance(&sim->prng, sim->faults.sync_error)) {
            sim_file_sync_fails(segment->file, &sim->prng);
            return written(sim, segment->file,
                           finish(sim, operation, sim->mutants & STORE_SIM_RETRY_SYNC ? 0 : -EIO));
        }
        if (!sync_is_mutated(segment))
            sim_file_sync(segment->file);
    }
    return finish(sim, operation, 0);
}

static bool read_fails(struct store_sim *sim)
{
    if (sim->stumbles == 0 && prng_chance(&sim->prng, sim->stumble_chance))
        sim->stumbles = 2 + (unsigned)prng_below(&sim->prng, sim->stumbles_most);
    return sim->stumbles > 0 && --sim->stumbles > 0;
}

static bool is_unreadable(const struct store_sim *sim, const struct sim_file *file, uint64_t offset,
                          size_t size)
{
    return sim->bad_from < sim->bad_to && file->name.space == sim->bad.space &&
           file->name.number == sim->bad.number && offset < sim->bad_to &&
           offset + size > sim->bad_from;
}

static ssize_t read_segment(struct store_segment *segment, uint64_t offset, void *buf, size_t size,
                            int flags)
{
    struct store_sim *sim = segment->owner->sim;
    struct sim_file *file = segment->file;

    if (!enter(segment->owner))
        return -EIO;
    if (read_fails(sim) || is_unreadable(sim, file, offset, size))
        return -EIO;
    if (prng_chance(&sim->prng, sim->faults.evict))
        sim_file_evict(file);
    if (offset >= file->size)
        return 0;
    if (size > file->size - offset)
        size = file->size - offset;
    memcpy(buf, (flags & STORE_READ_DIRECT ? file->disk : file->page) + offset, size);
    return (ssize_t)size;
}

static int recycle(struct store_segment *segment, uint64_t new_number)
{
    struct store_sim *sim = segment->owner->sim;
    struct store_sim_operation operation = on_segment("recycle", segment);
    struct sim_name name = segment->file->name;

    if (!enter(segment->owner))
        return -EIO;
    name.number = new_number;
    operation.offset = new_number;
    if (sim_disk_find(&sim->disk, &name))
        return -EEXIST;
    return finish(sim, operation, name_file(sim, begin(sim), segment->file, &name));
}

/* The end of remove and set_aside: the handle is gone in any case. */
static int take_away(struct store_segment *segment, struct store_sim_operation operation,
                     const struct sim_name *name)
{
    struct store_sim *sim = segment->owner->sim;
    int r = -EIO;

    if (enter(segment->owner)) {
        r = name_file(sim, begin(sim), segment->file, name);
        r = finish(sim, operation, r);
    }
    close_segment(segment);
    return r;
}

static int remove_segment(struct store_segment *segment)
{
    return take_away(segment, on_segment("remove", segment), &(struct sim_name){0});
}

static int set_aside(struct store_segment *segment, const char *reason)
{
    struct sim_name name = {.space = SIM_ASIDE, .number = segment->file->name.number};
    snprintf(name.text, sizeof name.text, "%s", reason);
    return take_away(segment, on_segment("set_aside", segment), &name);
}

static int file_error(struct store_sim *sim, const char *text, uint64_t size)
{
    bool is_checkpoint = strncmp(text, "checkpoint", 10) == 0;

    if (is_full(sim, size) ||
        (is_checkpoint && prng_chance(&sim->prng, sim->faults.checkpoint_full)))
        return -ENOSPC;
    if (prng_chance(&sim->prng, sim->faults.file_error))
        return prng_below(&sim->prng, 2) ? -ENOSPC : -EIO;
    return 0;
}

static int put_file(struct store *store, const char *text, const struct iovec *parts, int count)
{
    struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);
    struct sim_name name = file_name(text);
    struct store_sim_operation operation = {.name = "put_file", .file = text};

    for (int i = 0; i < count; i++)
        operation.size += parts[i].iov_len;
    if (!enter(s))
        return -EIO;
    enum cut cut = begin(s->sim);
    int r = file_error(s->sim, text, operation.size);
    if (r == 0) {
        struct sim_file *file = sim_disk_new_file(&s->sim->disk, operation.size);
        write_parts(file, 0, parts, count, operation.size);
        sim_file_sync(file);
        r = name_file(s->sim, cut, file, &name);
        sim_disk_sweep(&s->sim->disk);
    }
    return finish(s->sim, operation, r);
}

static int get_file(struct store *store, const char *text, uint64_t max_bytes, void **out_data,
                    size_t *out_size)
{
    struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);
    struct sim_name name = file_name(text);

    if (is_dead(s))
        return -EIO;
    struct sim_file *file = sim_disk_find(&s->sim->disk, &name);
    if (!file)
        return -ENOENT;
    if (file->size > max_bytes)
        return -EFBIG;
    char *data = malloc(file->size + 1);
    assert(data);
    memcpy(data, file->page, file->size);
    *out_data = data;
    *out_size = file->size;
    return 0;
}

static int remove_file(struct store *store, const char *text)
{
    struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);
    struct sim_name name = file_name(text);
    struct store_sim_operation operation = {.name = "remove_file", .file = text};

    if (!enter(s))
        return -EIO;
    struct sim_file *file = sim_disk_find(&s->sim->disk, &name);
    if (!file)
        return -ENOENT;
    return finish(s->sim, operation, name_file(s->sim, begin(s->sim), file, &(struct sim_name){0}));
}

static const struct sim_file *find_prefixed(const struct store_sim *sim, const char *prefix,
                                            const char *but)
{
    LIST_EACH(&sim->disk.files, link)
    {
        const struct sim_file *file = CONTAINER_OF(link, struct sim_file, link);
        const char *text = file->name.text;
        bool stays = but && strncmp(text, but, strlen(but)) == 0;
        if (file->name.space == SIM_NAMED && strncmp(text, prefix, strlen(prefix)) == 0 && !stays)
            return file;
    }
    return NULL;
}

/* One operation each: a crash may come between any two. */
static int remove_files(struct store *store, const char *prefix, const char *but)
{
    struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);
    const struct sim_file *file;
    int r = is_dead(s) ? -EIO : 0;

    while (r == 0 && (file = find_prefixed(s->sim, prefix, but)) != NULL) {
        struct sim_name name = file->name;
        r = remove_file(store, name.text);
    }
    return r;
}

static int space(struct store *store, struct store_space *out)
{
    struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);
    if (is_dead(s))
        return -EIO;
    uint64_t capacity = s->sim->capacity ? s->sim->capacity : UINT64_C(1) << 50;
    uint64_t used = s->sim->disk.used_bytes;
    *out = (struct store_space){.free_bytes = used < capacity ? capacity - used : 0,
                                .free_inodes = 1000000};
    return 0;
}

static void close_store(struct store *store)
{
    struct sim_store *s = CONTAINER_OF(store, struct sim_store, store);
    if (s->sim->lease == s)
        s->sim->lease = NULL;
    s->sim->open_stores--;
    free(s);
}

static const struct store_ops sim_ops = {
    .open_lane = open_lane,
    .is_leased = is_leased,
    .list = list,
    .create_segment = create_segment,
    .open_segment = open_segment,
    .write = write_segment,
    .sync = sync_segment,
    .read = read_segment,
    .recycle = recycle,
    .remove = remove_segment,
    .set_aside = set_aside,
    .close_segment = close_segment,
    .put_file = put_file,
    .get_file = get_file,
    .remove_file = remove_file,
    .remove_files = remove_files,
    .space = space,
    .close = close_store,
};

struct store_sim *store_sim_new(uint64_t seed)
{
    struct store_sim *sim = calloc(1, sizeof *sim);
    assert(sim);
    sim_disk_init(&sim->disk);
    sim->prng.state = seed;
    return sim;
}

void store_sim_free(struct store_sim *sim)
{
    if (!sim)
        return;
    assert(sim->open_stores == 0);
    sim_disk_done(&sim->disk);
    free(sim);
}

struct store *store_sim_open(struct store_sim *sim)
{
    struct sim_store *s = calloc(1, sizeof *s);
    assert(s);
    *s = (struct sim_store){.store.ops = &sim_ops, .sim = sim, .life = sim->life};
    sim->open_stores++;
    return &s->store;
}

void store_sim_set_faults(struct store_sim *sim, const struct store_sim_faults *faults)
{
    sim->faults = *faults;
}

void store_sim_set_turn(struct store_sim *sim, void (*turn)(void *arg), void *arg)
{
    sim->turn = turn;
    sim->turn_arg = arg;
}

void store_sim_begin_thread(struct store_sim *sim)
{
    assert(sim->thread_count < THREADS_MAX);
    sim->threads[sim->thread_count++] = ++sim->threads_begun;
}

void store_sim_end_thread(struct store_sim *sim)
{
    sim->thread_count--;
}

const char *store_sim_breach(const struct store_sim *sim)
{
    return sim->breach;
}

void store_sim_set_stumbling(struct store_sim *sim, unsigned chance, unsigned most)
{
    sim->stumble_chance = chance;
    sim->stumbles_most = most;
    sim->stumbles = 0;
}

void store_sim_set_capacity(struct store_sim *sim, uint64_t bytes)
{
    sim->capacity = bytes;
}

void store_sim_set_mutants(struct store_sim *sim, unsigned mutants)
{
    sim->mutants = mutants;
}

void store_sim_stop(struct store_sim *sim)
{
    sim->stopped = true;
}

void store_sim_stop_after(struct store_sim *sim, uint64_t operations)
{
    sim->stop_at = operations ? sim->operations + operations : 0;
}

bool store_sim_stopped(const struct store_sim *sim)
{
    return sim->stopped;
}

uint64_t store_sim_operations(const struct store_sim *sim)
{
    return sim->operations;
}

void store_sim_restart(struct store_sim *sim, enum store_sim_restart how)
{
    sim->stopped = false;
    sim->stop_at = 0;
    sim->life++;
    sim->lease = NULL;
    if (how == STORE_SIM_POWER_CUT)
        sim_disk_cut_power(&sim->disk, &sim->prng);
}

static int flip(struct store_sim *sim, const struct sim_name *name, uint64_t bit)
{
    struct sim_file *file = sim_disk_find(&sim->disk, name);
    if (!file)
        return -ENOENT;
    if (bit / 8 >= file->size)
        return -ERANGE;
    sim_file_flip(file, bit);
    return 0;
}

int store_sim_flip(struct store_sim *sim, enum store_kind kind, uint64_t number, uint64_t bit)
{
    struct sim_name name = segment_name(kind, number);
    return flip(sim, &name, bit);
}

int store_sim_flip_file(struct store_sim *sim, const char *text, uint64_t bit)
{
    struct sim_name name = file_name(text);
    return flip(sim, &name, bit);
}

static void fill_litter(struct store_sim *sim, enum store_sim_litter what, struct sim_file *file,
                        const struct sim_file *of)
{
    file->is_folder = what == STORE_SIM_FOLDER;
    if (what == STORE_SIM_NOISE)
        prng_fill(&sim->prng, file->disk, file->size);
    else if (what == STORE_SIM_COPY)
        memcpy(file->disk, of->disk, file->size);
    memcpy(file->page, file->disk, file->size);
}

bool store_sim_litter(struct store_sim *sim, enum store_sim_litter what, enum store_kind kind,
                      uint64_t number, size_t size, uint64_t of)
{
    struct sim_name name = segment_name(kind, number), other = segment_name(kind, of);
    const struct sim_file *from = sim_disk_find(&sim->disk, &other);

    if (sim_disk_find(&sim->disk, &name) || (what == STORE_SIM_COPY && (!from || from->is_folder)))
        return false;
    if (what == STORE_SIM_EMPTY || what == STORE_SIM_FOLDER)
        size = 0;
    struct sim_file *file =
        sim_disk_new_file(&sim->disk, what == STORE_SIM_COPY ? from->size : size);
    file->name = name;
    fill_litter(sim, what, file, from);
    return true;
}

bool store_sim_put(struct store_sim *sim, enum store_kind kind, uint64_t number, const void *bytes,
                   size_t size)
{
    if (!store_sim_litter(sim, STORE_SIM_ZEROS, kind, number, size, 0))
        return false;
    struct sim_name name = segment_name(kind, number);
    struct sim_file *file = sim_disk_find(&sim->disk, &name);
    memcpy(file->disk, bytes, size);
    memcpy(file->page, bytes, size);
    return true;
}

bool store_sim_has_file(const struct store_sim *sim, const char *text)
{
    struct sim_name name = file_name(text);
    return sim_disk_find(&sim->disk, &name) != NULL;
}

uint64_t store_sim_highest(const struct store_sim *sim, enum store_kind kind)
{
    enum sim_space space = segment_name(kind, 0).space;
    uint64_t highest = 0;

    LIST_EACH(&sim->disk.files, link)
    {
        const struct sim_file *file = CONTAINER_OF(link, struct sim_file, link);
        bool is_given = file->name.number < (uint64_t)1 << 32;
        if (file->name.space == space && is_given && file->name.number > highest)
            highest = file->name.number;
    }
    return highest;
}

static struct sim_file *draw_file(struct store_sim *sim)
{
    struct sim_file *drawn = NULL;
    uint64_t seen = 0;
    LIST_EACH(&sim->disk.files, link)
    {
        struct sim_file *file = CONTAINER_OF(link, struct sim_file, link);
        bool counts = file->name.space != SIM_UNLINKED && file->name.space != SIM_ASIDE;
        if (counts && prng_below(&sim->prng, ++seen) == 0)
            drawn = file;
    }
    return drawn;
}

static struct store_sim_damage describe(const struct sim_file *file, uint64_t at)
{
    struct store_sim_damage damage = {.number = file->name.number, .offset = at};
    snprintf(damage.what, sizeof damage.what, "%s",
             file->name.space == SIM_LOG    ? "log"
             : file->name.space == SIM_BULK ? "bulk"
                                            : file->name.text);
    return damage;
}

bool store_sim_draw(struct store_sim *sim, struct store_sim_damage *out)
{
    struct sim_file *file = draw_file(sim);
    if (!file || file->size == 0)
        return false;
    *out = describe(file, file->size);
    return true;
}

static struct sim_name damaged_name(const struct store_sim_damage *damage)
{
    bool is_segment = strcmp(damage->what, "log") == 0 || strcmp(damage->what, "bulk") == 0;
    return is_segment
               ? segment_name(damage->what[0] == 'l' ? STORE_LOG : STORE_BULK, damage->number)
               : file_name(damage->what);
}

void store_sim_set_unreadable(struct store_sim *sim, const struct store_sim_damage *damage,
                              uint64_t bytes)
{
    sim->bad = damaged_name(damage);
    sim->bad_from = damage->offset;
    sim->bad_to = damage->offset + bytes;
}

void store_sim_cut(struct store_sim *sim, const struct store_sim_damage *damage)
{
    struct sim_name name = damaged_name(damage);
    struct sim_file *file = sim_disk_find(&sim->disk, &name);

    assert(file && damage->offset <= file->size);
    sim->disk.used_bytes -= file->size - damage->offset;
    file->size = damage->offset;
}

bool store_sim_damage(struct store_sim *sim, struct store_sim_damage *out)
{
    struct sim_file *file = draw_file(sim);
    if (!file || file->size == 0)
        return false;
    uint64_t at = prng_below(&sim->prng, file->size);
    for (uint64_t tried = 0; file->disk[at] == 0; tried++, at = (at + 1) % file->size)
        if (tried == file->size)
            return false;
    sim_file_flip(file, 8 * at + prng_below(&sim->prng, 8));
    *out = describe(file, at);
    return true;
}

size_t store_sim_count_aside(const struct store_sim *sim)
{
    size_t count = 0;
    LIST_EACH(&sim->disk.files, link)
    {
        count += CONTAINER_OF(link, struct sim_file, link)->name.space == SIM_ASIDE;
    }
    return count;
}

void store_sim_observe(struct store_sim *sim,
                       void (*observe)(void *arg, const struct store_sim_operation *operation),
                       void *arg)
{
    sim->observe = observe;
    sim->observe_arg = arg;
}
