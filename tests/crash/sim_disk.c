#include "sim_disk.h"

#include <assert.h>
#include <stdlib.h>

void sim_disk_init(struct sim_disk *disk)
{
    *disk = (struct sim_disk){0};
    list_init(&disk->files);
}

static void file_free(struct sim_disk *disk, struct sim_file *file)
{
    list_remove(&file->link);
    disk->used_bytes -= file->size;
    free(file->page);
    free(file->disk);
    free(file->sectors);
    free(file);
}

void sim_disk_done(struct sim_disk *disk)
{
    LIST_EACH(&disk->files, link)
    {
        file_free(disk, CONTAINER_OF(link, struct sim_file, link));
    }
    free(disk->pending);
}

static bool same_name(const struct sim_name *a, const struct sim_name *b)
{
    return a->space == b->space && a->number == b->number && strcmp(a->text, b->text) == 0;
}

struct sim_file *sim_disk_find(const struct sim_disk *disk, const struct sim_name *name)
{
    LIST_EACH(&disk->files, link)
    {
        struct sim_file *file = CONTAINER_OF(link, struct sim_file, link);
        if (same_name(&file->name, name))
            return file;
    }
    return NULL;
}

static size_t sector_count(const struct sim_file *file)
{
    return (file->size + SIM_SECTOR - 1) / SIM_SECTOR;
}

struct sim_file *sim_disk_new_file(struct sim_disk *disk, size_t size)
{
    struct sim_file *file = calloc(1, sizeof *file);
    assert(file);
    file->size = size;
    file->page = calloc(1, size + 1);
    file->disk = calloc(1, size + 1);
    file->sectors = calloc(sector_count(file) + 1, sizeof *file->sectors);
    assert(file->page && file->disk && file->sectors);
    disk->used_bytes += size;
    list_append(&disk->files, &file->link);
    return file;
}

static void push_pending(struct sim_disk *disk, struct sim_rename change)
{
    if (disk->pending_count == disk->pending_capacity) {
        disk->pending_capacity = disk->pending_capacity ? 2 * disk->pending_capacity : 16;
        disk->pending = reallocarray(disk->pending, disk->pending_capacity, sizeof change);
        assert(disk->pending);
    }
    disk->pending[disk->pending_count++] = change;
}

void sim_disk_rename(struct sim_disk *disk, struct sim_file *file, const struct sim_name *name)
{
    struct sim_rename change = {.file = file, .old = file->name};

    if (name->space == SIM_LOG || name->space == SIM_BULK || name->space == SIM_NAMED)
        change.replaced = sim_disk_find(disk, name);
    assert(change.replaced != file);
    if (change.replaced)
        change.replaced->name = (struct sim_name){0};
    file->name = *name;
    push_pending(disk, change);
}

static void undo_rename(struct sim_rename *change)
{
    if (change->replaced)
        change->replaced->name = change->file->name;
    change->file->name = change->old;
}

void sim_disk_sync_names(struct sim_disk *disk)
{
    disk->pending_count = 0;
    sim_disk_sweep(disk);
}

static bool is_pending(const struct sim_disk *disk, const struct sim_file *file)
{
    for (size_t i = 0; i < disk->pending_count; i++)
        if (disk->pending[i].file == file || disk->pending[i].replaced == file)
            return true;
    return false;
}

void sim_disk_sweep(struct sim_disk *disk)
{
    LIST_EACH(&disk->files, link)
    {
        struct sim_file *file = CONTAINER_OF(link, struct sim_file, link);
        if (file->name.space == SIM_UNLINKED && file->open_handles == 0 && !is_pending(disk, file))
            file_free(disk, file);
    }
}

static void mark_dirty(struct sim_file *file, size_t from, size_t to)
{
    bool clean_file = file->dirty_from == file->dirty_to;
    if (clean_file || from / SIM_SECTOR < file->dirty_from)
        file->dirty_from = from / SIM_SECTOR;
    if (clean_file || (to - 1) / SIM_SECTOR + 1 > file->dirty_to)
        file->dirty_to = (to - 1) / SIM_SECTOR + 1;
    for (size_t at = from; at < to;) {
        size_t index = at / SIM_SECTOR, base = index * SIM_SECTOR;
        size_t end = base + SIM_SECTOR < to ? base + SIM_SECTOR : to;
        struct sim_sector *sector = &file->sectors[index];
        uint16_t low = (uint16_t)(at - base), high = (uint16_t)(end - base);
        bool clean = sector->low == sector->high;
        sector->low = clean || low < sector->low ? low : sector->low;
        sector->high = clean || high > sector->high ? high : sector->high;
        at = end;
    }
}

void sim_file_write(struct sim_file *file, uint64_t offset, const void *data, size_t size)
{
    assert(offset <= file->size && size <= file->size - offset);
    if (size == 0)
        return;
    memcpy(file->page + offset, data, size);
    mark_dirty(file, offset, offset + size);
}

/* Copies the dirty bytes of one sector to the disk. */
static void write_back(struct sim_file *file, size_t index)
{
    struct sim_sector *sector = &file->sectors[index];
    size_t at = index * SIM_SECTOR + sector->low;
    memcpy(file->disk + at, file->page + at, sector->high - sector->low);
}

static void forget_dirty(struct sim_file *file)
{
    memset(file->sectors + file->dirty_from, 0,
           (file->dirty_to - file->dirty_from) * sizeof *file->sectors);
    file->dirty_from = file->dirty_to = 0;
}

void sim_file_sync(struct sim_file *file)
{
    for (size_t i = file->dirty_from; i < file->dirty_to; i++)
        write_back(file, i);
    forget_dirty(file);
}

/* How a cut or a failed sync treats a sector that was on its way. */
enum fate { FATE_LOST, FATE_KEPT, FATE_GARBLED, FATE_STALE };

/* One temper for each event: mostly lost, mostly kept, or anything, so that rare combinations (all
 * lost but the newest) come up as well as evenly mixed ones. */
struct temper {
    unsigned kept, garbled, stale; /* of 10,000 */
    bool by_page;                  /* whole pages share a fate, else each sector has its own */
};

static struct temper draw_temper(struct prng *prng)
{
    static const unsigned kept[] = {0, 500, 5000, 9500, 10000};
    static const unsigned garbled[] = {0, 0, 0, 300, 3000};
    return (struct temper){.kept = kept[prng_below(prng, ARRAY_SIZE(kept))],
                           .garbled = garbled[prng_below(prng, ARRAY_SIZE(garbled))],
                           .stale = garbled[prng_below(prng, ARRAY_SIZE(garbled))],
                           .by_page = prng_below(prng, 2) == 0};
}

static enum fate draw_fate(const struct temper *temper, struct prng *prng)
{
    if (prng_chance(prng, temper->garbled))
        return FATE_GARBLED;
    if (prng_chance(prng, temper->stale))
        return FATE_STALE;
    return prng_chance(prng, temper->kept) ? FATE_KEPT : FATE_LOST;
}

/* A sector that was being written may be harmed as a whole, with the older bytes in it: whoever
 * wants these to be safe starts at a new sector. */
static void apply_fate(struct sim_file *file, size_t index, enum fate fate, struct prng *prng)
{
    size_t at = index * SIM_SECTOR;
    size_t size = file->size - at < SIM_SECTOR ? file->size - at : SIM_SECTOR;

    switch (fate) {
    case FATE_LOST:
        break;
    case FATE_KEPT:
        write_back(file, index);
        break;
    case FATE_GARBLED:
        prng_fill(prng, file->disk + at, size);
        break;
    case FATE_STALE: { /* what another sector of the file holds */
        size_t from = prng_below(prng, sector_count(file)) * SIM_SECTOR;
        memmove(file->disk + at, file->page + (from + size <= file->size ? from : at), size);
        break;
    }
    }
}

static void draw_fates(struct sim_file *file, struct prng *prng)
{
    struct temper temper = draw_temper(prng);
    enum fate fate = FATE_LOST;
    size_t page = SIZE_MAX;

    for (size_t i = file->dirty_from; i < file->dirty_to; i++) {
        if (file->sectors[i].low == file->sectors[i].high)
            continue;
        if (!temper.by_page || i / (SIM_PAGE / SIM_SECTOR) != page)
            fate = draw_fate(&temper, prng);
        page = i / (SIM_PAGE / SIM_SECTOR);
        apply_fate(file, i, fate, prng);
    }
}

void sim_file_sync_fails(struct sim_file *file, struct prng *prng)
{
    draw_fates(file, prng);
    forget_dirty(file);
}

void sim_file_evict(struct sim_file *file)
{
    for (size_t i = 0; i < sector_count(file); i++) {
        size_t at = i * SIM_SECTOR,
               size = file->size - at < SIM_SECTOR ? file->size - at : SIM_SECTOR;
        if (file->sectors[i].low == file->sectors[i].high)
            memcpy(file->page + at, file->disk + at, size);
    }
}

void sim_file_flip(struct sim_file *file, uint64_t bit)
{
    assert(bit / 8 < file->size);
    file->page[bit / 8] ^= (uint8_t)(1 << bit % 8);
    file->disk[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

void sim_disk_cut_power(struct sim_disk *disk, struct prng *prng)
{
    for (size_t undone = prng_below(prng, disk->pending_count + 1); undone > 0; undone--)
        undo_rename(&disk->pending[--disk->pending_count]);
    LIST_EACH(&disk->files, link)
    {
        struct sim_file *file = CONTAINER_OF(link, struct sim_file, link);
        draw_fates(file, prng);
        forget_dirty(file);
        memcpy(file->page, file->disk, file->size);
    }
    sim_disk_sync_names(disk);
}
