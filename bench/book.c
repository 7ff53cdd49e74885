/*
 * What an entry costs the book, and a large book to measure `postbuch audit` and `trace` on, made
 * through the code that folds the log.
 *
 *   bench_book FOLDER ENTRIES [WEEKS]
 *
 * Each entry is a message to one recipient and its outcome, 200 messages later, as in a queue that
 * keeps up; the book commits every 4,000. 97 of 100 are delivered, 2 relayed after a deferral, 1
 * returned. Tells entries a second, CPU and bytes an entry, and the id of one in the middle, to
 * trace.
 */
#include "base/clock.h"
#include "book/fold.h"

#include <dirent.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { BATCH = 4000, LAG = 200, SENDERS = 20000, RECIPIENTS = 50000, CLIENTS = 3000 };

#define WEEK_US (INT64_C(7) * 86400 * 1000000)

struct maker {
    struct fold *fold;
    struct id_maker ids;
    uint64_t random, offset;
    int64_t now_us;
    struct id under_way[LAG];
};

static uint64_t next_random(struct maker *m)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return m->random >> 24;
}

static void fill(struct maker *m, uint8_t *to, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)next_random(m);
}

static void fold(struct maker *m, struct book_input *input)
{
    m->offset += 600;
    input->end = (struct book_position){.segment = 1, .offset = m->offset};
    int r = fold_input(m->fold, input, m->now_us);
    if (r < 0)
        errx(1, "fold: %s", strerror(-r));
}

static struct id accept_one(struct maker *m)
{
    char sender[64], recipient[64], message_id[96], helo[64];
    struct envelope_recipient r = {.address = {recipient, 0}};
    struct envelope e = {.id = id_make(&m->ids, m->now_us),
                         .accepted_us = m->now_us,
                         .recipients = &r,
                         .recipient_count = 1,
                         .size_bytes = 1000 + next_random(m) % 100000,
                         .client = {.session = id_make(&m->ids, m->now_us),
                                    .port = (uint16_t)next_random(m),
                                    .uid = EVENT_NO_ACTOR,
                                    .service = SPAN("mx"),
                                    .protocol = SPAN("ESMTPS"),
                                    .tls = SPAN("TLSv1.3 TLS_AES_256_GCM_SHA384")}};
    struct book_input input = {.kind = BOOK_MESSAGE, .message = &e};
    uint64_t client = next_random(m) % CLIENTS;

    snprintf(sender, sizeof(sender), "sender%llu@far.example",
             (unsigned long long)(next_random(m) % SENDERS));
    r.address.size = (size_t)snprintf(recipient, sizeof(recipient), "user%llu@here.example",
                                      (unsigned long long)(next_random(m) % RECIPIENTS));
    r.original = r.address;
    snprintf(message_id, sizeof(message_id), "<%016llx.%llu@far.example>",
             (unsigned long long)next_random(m), (unsigned long long)m->offset);
    snprintf(helo, sizeof(helo), "mx%llu.far.example", (unsigned long long)client);
    e.sender = span_from_cstr(sender);
    e.message_id = span_from_cstr(message_id);
    e.client.helo = span_from_cstr(helo);
    memcpy(e.client.ip + 10,
           (uint8_t[]){0xff, 0xff, 192, 0, (uint8_t)(client >> 8), (uint8_t)client}, 6);
    fill(m, r.key, sizeof(r.key));
    fill(m, e.digest, sizeof(e.digest));
    fold(m, &input);
    return e.id;
}

static void happen(struct maker *m, const struct id *id, enum event_kind kind)
{
    char remote[40];
    bool here = kind == EVENT_DELIVERED;
    struct book_status s = {
        .message = *id,
        .kind = (uint8_t)kind,
        .time_us = m->now_us + 1000,
        .next_attempt_us = kind == EVENT_DEFERRED ? m->now_us + 300000000 : 0,
        .host = here ? SPAN("mail.here.example") : SPAN("mx1.there.example"),
        .reply = here ? SPAN("") : SPAN("250 2.0.0 Ok: queued"),
        .status = here ? SPAN("2.0.0") : SPAN("4.4.1"),
        .actor_uid = EVENT_NO_ACTOR,
    };
    struct book_input input = {.kind = BOOK_STATUS, .status = &s};

    snprintf(remote, sizeof(remote), "1763748003.%llu.here", (unsigned long long)next_random(m));
    if (here || kind == EVENT_RELAYED)
        s.remote_id = span_from_cstr(remote);
    fold(m, &input);
}

static void finish_one(struct maker *m, const struct id *id)
{
    unsigned chance = (unsigned)(next_random(m) % 100);

    if (chance < 2)
        happen(m, id, EVENT_DEFERRED);
    happen(m, id, chance < 2 ? EVENT_RELAYED : chance < 3 ? EVENT_RETURNED : EVENT_DELIVERED);
}

static void commit(struct maker *m)
{
    int r = fold_commit(m->fold, m->now_us);
    if (r < 0)
        errx(1, "commit: %s", strerror(-r));
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static uint64_t folder_bytes(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    uint64_t bytes = 0;
    struct stat st;

    while (dir && (entry = readdir(dir)))
        if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    if (dir)
        closedir(dir);
    return bytes;
}

int main(int argc, char **argv)
{
    long entries = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    long weeks = argc > 3 ? strtol(argv[3], NULL, 10) : 1;
    static struct maker m = {.random = 1};
    struct ledger_told told = {.damage = ""};
    char name[ID_TEXT + 1] = "";

    if (entries <= 0 || weeks <= 0)
        errx(2, "usage: bench_book FOLDER ENTRIES [WEEKS]");
    int64_t step_us = WEEK_US * weeks / entries;
    m.now_us = clock_wall_us() - WEEK_US * weeks;
    id_maker_init(&m.ids, 1, 1);
    int r = fold_open(argv[1], m.now_us, &told, &m.fold);
    if (r < 0)
        errx(1, "%s: %s", argv[1], strerror(-r));
    int64_t start_ms = clock_monotonic_ms();
    for (long i = 0; i < entries + LAG; i++, m.now_us += step_us) {
        if (i >= LAG)
            finish_one(&m, &m.under_way[i % LAG]);
        if (i < entries)
            m.under_way[i % LAG] = accept_one(&m);
        if (i % BATCH == 0)
            commit(&m);
        if (i == entries / 2)
            id_format(&m.under_way[i % LAG], name);
    }
    commit(&m);
    fold_close(m.fold);
    double seconds = (double)(clock_monotonic_ms() - start_ms) / 1000;
    printf("%ld entries in %.1f s: %.0f a second, CPU %.1f us and %.0f bytes an entry\n", entries,
           seconds, (double)entries / seconds, cpu_seconds() * 1e6 / (double)entries,
           (double)folder_bytes(argv[1]) / (double)entries);
    printf("one of them: %s\n", name);
    return 0;
}
