/*
 * The book under a log that says anything: well-formed records in senseless orders (fuzz_fill.h).
 * Input: a byte for each record's kind, then its fields; ids and times are few, so that records
 * meet. Folding never fails, a batch that is folded twice counts once, and the audit finds nothing
 * wrong with files, chains and values, and each entry in the state that its events give.
 */
#include "fuzz_fill.h"
#include "fuzz_sqlite.h"

#include "base/log.h"
#include "book/audit.h"
#include "book/schema.h"
#include "proc/book/translate.h"
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MESSAGES = 8, RECORDS_MAX = 30, COMMIT = 0xFF, CRASH = 0xFE };

static const int64_t now_us = INT64_C(1795284003120000);
static const int64_t week_us = INT64_C(7) * 86400 * 1000000;

struct play {
    char folder[64];
    struct translator translator;
    struct arena arena;
    uint64_t offset;
    uint32_t entries[MESSAGES]; /* of each message, so far; 0: it hasn't come */
    uint32_t committed[MESSAGES];
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

/* A ledger that is made anew, as it may turn out: only then records that were said again count. */
static void open_fold(struct play *p)
{
    static const struct book_position end = {0, 1, UINT32_MAX};
    static struct ledger_told told;

    assert(fold_open(p->folder, now_us, &told, &p->translator.fold) == 0);
    if (fold_position(p->translator.fold, 0).segment == 0)
        assert(fold_begin_anew(p->translator.fold, &end, now_us) == 0);
    p->translator.limit = (struct spool_position){1, UINT32_MAX};
}

static void begin(struct play *p)
{
    /* In memory where that is possible: it syncs a lot and proves nothing about disks. */
    strcpy(p->folder, "/dev/shm/postbuch-fuzz-XXXXXX");
    if (!mkdtemp(p->folder)) {
        strcpy(p->folder, "/tmp/postbuch-fuzz-XXXXXX");
        assert(mkdtemp(p->folder));
    }
    p->translator.now_us = now_us;
    open_fold(p);
}

/* One of a few, in two weeks. */
static struct id few_ids(unsigned message)
{
    struct id_maker maker;

    id_maker_init(&maker, 1, message);
    return id_make(&maker, now_us - (message & 1) * week_us);
}

/* One that has come already, from `byte` on: the log may say anything but of what isn't there yet.
 * MESSAGES: there is none. */
static unsigned known(const struct play *p, uint8_t byte)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        if (p->entries[(byte + i) % MESSAGES])
            return (byte + i) % MESSAGES;
    return MESSAGES;
}

static int64_t few_times(int64_t number)
{
    return now_us + number % 1000;
}

/* ---- records ---- */

static unsigned make_message(struct play *p, struct span *in, struct spool_followed *r)
{
    struct envelope *e = arena_alloc(&p->arena, sizeof(*e));
    unsigned message = fuzz_take(in) % MESSAGES;

    assert(e);
    *e = (struct envelope){0};
    fuzz_fill(&envelope_codec, in, &p->arena, e);
    e->id = r->message = few_ids(message);
    e->accepted_us = now_us;
    r->envelope = e;
    return message;
}

static bool make_new(struct play *p, struct span *in, struct spool_followed *r)
{
    unsigned message = make_message(p, in, r);

    if (!p->entries[message])
        p->entries[message] = (uint32_t)r->envelope->recipient_count;
    return true;
}

static bool make_expansion(struct play *p, struct span *in, struct spool_followed *r)
{
    struct record_expand expand = {0};

    fuzz_fill(&record_expand_codec, in, &p->arena, &expand);
    unsigned message = known(p, expand.message.bytes[0]);
    if (message == MESSAGES || expand.expansion_count == 0)
        return false;
    r->message = few_ids(message);
    r->time_us = now_us; /* as its message's */
    r->first_child = p->entries[message];
    r->expansion = expand.expansions;
    expand.expansions[0].parent %= p->entries[message];
    p->entries[message] += (uint32_t)expand.expansions[0].child_count;
    return true;
}

static bool make_statuses(struct play *p, struct span *in, struct spool_followed *r)
{
    struct record_status status = {0};

    fuzz_fill(&record_status_codec, in, &p->arena, &status);
    unsigned message = known(p, status.message.bytes[0]);
    if (message == MESSAGES)
        return false;
    for (size_t i = 0; i < status.status_count; i++) {
        struct spool_status *one = &status.statuses[i];
        one->recipient %= p->entries[message];
        one->time_us = few_times(one->time_us);
        one->next_attempt_us = one->next_attempt_us ? few_times(one->next_attempt_us) : 0;
    }
    r->message = few_ids(message);
    r->statuses = status.statuses;
    r->status_count = status.status_count;
    return true;
}

static bool make_restated(struct play *p, struct span *in, struct spool_followed *r)
{
    r->time_us = now_us;
    return make_statuses(p, in, r);
}

static bool make_event(struct play *p, struct span *in, struct spool_followed *r)
{
    struct event event = {0};
    struct buffer wire = BUFFER_INIT;

    fuzz_fill(&event_codec, in, &p->arena, &event);
    event.time_us = few_times(event.time_us);
    if (event.kind == EVENT_ACCEPTED) /* only a MESSAGE says so */
        event.kind = EVENT_REFUSED;
    unsigned message = known(p, event.message.bytes[0]);
    event.message = message < MESSAGES ? few_ids(message) : (struct id){0};
    if (message < MESSAGES && event.recipient_index != EVENT_NO_RECIPIENT)
        event.recipient_index %= p->entries[message];
    if (codec_encode(&event_codec, &event, &wire) == 0)
        r->event = arena_copy(&p->arena, buffer_span(&wire));
    else
        r->event = fuzz_take_span(in, &p->arena, 100);
    buffer_done(&wire);
    return true;
}

static bool make_alarm(struct play *p, struct span *in, struct spool_followed *r)
{
    struct spool_alarm *alarm = arena_alloc(&p->arena, sizeof(*alarm));

    assert(alarm);
    *alarm = (struct spool_alarm){0};
    fuzz_fill(&spool_alarm_codec, in, &p->arena, alarm);
    alarm->message = few_ids(alarm->message.bytes[0] % MESSAGES);
    alarm->time_us = few_times(alarm->time_us);
    r->alarm = alarm;
    return true;
}

static bool make_moved(struct play *p, struct span *in, struct spool_followed *r)
{
    struct record_message message = {0};

    unsigned which = make_message(p, in, r);
    fuzz_fill(&record_message_codec, in, &p->arena, &message);
    r->expansions = message.expansions;
    r->expansion_count = message.expansion_count;
    r->waiting = message.net;
    r->waiting_count = message.net_count;
    return p->entries[which] > 0;
}

static void make_record(struct play *p, struct span *in, uint8_t kind, struct spool_followed *r)
{
    static bool (*const makers[])(struct play *, struct span *, struct spool_followed *) = {
        [SPOOL_FOLLOWED_MESSAGE] = make_new,
        [SPOOL_FOLLOWED_EXPAND] = make_expansion,
        [SPOOL_FOLLOWED_STATUS] = make_statuses,
        [SPOOL_FOLLOWED_EVENT] = make_event,
        [SPOOL_FOLLOWED_ALARM] = make_alarm,
        [SPOOL_FOLLOWED_MOVED] = make_moved,
        [SPOOL_FOLLOWED_SEAL] = NULL,
        [SPOOL_FOLLOWED_DAMAGED] = NULL,
        [SPOOL_FOLLOWED_GAP] = NULL,
        [SPOOL_FOLLOWED_RESTATED] = make_restated,
        [SPOOL_FOLLOWED_GONE] = NULL,
    };

    *r = (struct spool_followed){.kind = (enum spool_followed_kind)(kind % ARRAY_SIZE(makers)),
                                 .position = {1, p->offset}};
    if (makers[r->kind] && !makers[r->kind](p, in, r))
        r->kind = SPOOL_FOLLOWED_SEAL;
    p->offset += 1000;
    r->next = (struct spool_position){1, p->offset};
}

/* ---- the course ---- */

static void fold_one(struct play *p, struct span *in, uint8_t kind)
{
    struct spool_followed record;

    arena_clear(&p->arena);
    make_record(p, in, kind, &record);
    assert(translate(&p->translator, &record) == 0);
    assert(translate(&p->translator, &record) == 0); /* it has it already */
}

static void commit(struct play *p)
{
    assert(fold_commit(p->translator.fold, now_us) == 0);
    memcpy(p->committed, p->entries, sizeof(p->committed));
}

/* What isn't committed is lost with the process, and will be followed again. */
static void crash(struct play *p)
{
    fold_close(p->translator.fold);
    open_fold(p);
    memcpy(p->entries, p->committed, sizeof(p->entries));
    p->offset = fold_position(p->translator.fold, 0).offset;
}

static void found(void *arg, const struct audit_finding *finding)
{
    assert(finding->kind != AUDIT_FILE && finding->kind != AUDIT_CHAIN);
    assert(finding->kind != AUDIT_VALUE && finding->kind != AUDIT_HEAD);
    /* A second end of a recipient is told; its state is the one of its events in any case. */
    assert(finding->kind != AUDIT_STATE || !strstr(finding->text, " its events "));
}

static void check(struct play *p)
{
    struct audit_options options = {
        .now_us = now_us, .overdue_us = week_us, .with_acknowledged = true, .found = found};
    struct audit_counts counts;

    assert(fold_commit(p->translator.fold, now_us) == 0);
    fold_close(p->translator.fold);
    assert(audit_run(p->folder, &options, &counts) == 0);
}

/* ---- libFuzzer's program only ---- */

/* Files with nothing but their tables, by the start of their names: parsing the statements that
 * make these takes longer than most inputs. */
static struct template
{
    const char *name;
    enum schema_kind kind;
    struct buffer bytes;
}
templates[] = {{.name = "book.sqlite", .kind = SCHEMA_MAIN},
               {.name = "book-", .kind = SCHEMA_ENTRIES},
               {.name = "refusals-", .kind = SCHEMA_REFUSALS}};

int __real_db_open(const char *path, enum db_mode mode, const char *const *sql, size_t sql_count,
                   struct db *out);
int __wrap_db_open(const char *path, enum db_mode mode, const char *const *sql, size_t sql_count,
                   struct db *out);

static void write_template(const char *path, const struct template *t)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return; /* it is there */
    assert(write(fd, t->bytes.data, t->bytes.size) == (ssize_t)t->bytes.size);
    close(fd);
}

int __wrap_db_open(const char *path, enum db_mode mode, const char *const *sql, size_t sql_count,
                   struct db *out)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    for (size_t i = 0; mode == DB_WRITE && i < ARRAY_SIZE(templates); i++)
        if (templates[i].bytes.size &&
            strncmp(name, templates[i].name, strlen(templates[i].name)) == 0)
            write_template(path, &templates[i]);
    return __real_db_open(path, mode, sql, sql_count, out);
}

static void make_template(const char *folder, struct template *t)
{
    char path[96];
    struct db db;

    snprintf(path, sizeof(path), "%s/%d", folder, (int)t->kind);
    assert(__real_db_open(path, DB_WRITE, NULL, 0, &db) == 0 && schema_make(&db, t->kind) == 0);
    db_done(&db);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *room = buffer_reserve(&t->bytes, 1 << 20);
    ssize_t size = room ? read(fd, room, 1 << 20) : -1;
    assert(size > 0);
    t->bytes.size = (size_t)size;
    close(fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char folder[] = "/dev/shm/postbuch-fuzz-XXXXXX";

    fuzz_sqlite_use();
    if (!mkdtemp(folder))
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(templates); i++)
        make_template(folder, &templates[i]);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    struct play p = {0};

    log_open("fuzz", LOG_LEVEL_ERROR + 1); /* damage in the log is told as errors */
    begin(&p);
    for (int i = 0; in.size && i < RECORDS_MAX; i++) {
        uint8_t kind = fuzz_take(&in);
        if (kind == COMMIT)
            commit(&p);
        else if (kind == CRASH)
            crash(&p);
        else
            fold_one(&p, &in, kind);
    }
    check(&p);
    nftw(p.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    arena_done(&p.translator.arena);
    arena_done(&p.arena);
    return 0;
}
