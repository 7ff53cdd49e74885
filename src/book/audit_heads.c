/* What the main file knows of each week's file: is it there, and is its chain as far as it was? */
#include "book/audit_impl.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Before the first file is opened: what the main file says then, each file had already, since week
 * files are committed first (fold.h). Read afterwards, a commit in between would look like a file
 * that lacks events. */
int audit_load_heads(struct audit *audit, const char *folder)
{
    int r = main_file_read_heads(folder, MAIN_FILE_CHAINS, &audit->heads);

    if (r == 0)
        r = main_file_read_heads(folder, MAIN_FILE_LOST, &audit->lost);
    return r == -ENOMEM ? r : 0; /* that it can't be read is told of the file itself */
}

static bool is_of(const struct main_file_head *head, enum week_kind kind, int week, uint32_t lane)
{
    return head->kind == kind && head->week == week && head->at.lane == lane;
}

/* Each event moves it, and nothing else does. */
static void compare_position(struct audit *audit, const struct main_file_head *head,
                             uint64_t events, const struct book_position *at)
{
    int order = book_position_compare(at, &head->at);

    if (events == head->events ? order != 0 : order <= 0)
        audit_tell(audit, AUDIT_DAMAGE, NULL, EVENT_NO_RECIPIENT,
                   "the position up to which the log is folded isn't the one that book.sqlite says:"
                   " a byte of one of the two is damaged. The next start sets it right");
}

/* More events than were noted are fine: the book went on since, or died between the two commits. */
static void compare_head(struct audit *audit, const struct main_file_head *head,
                         const struct mark *end, const struct book_position *at)
{
    if (end->events < head->events)
        audit_tell(audit, AUDIT_HEAD, NULL, EVENT_NO_RECIPIENT,
                   "events are missing: book.sqlite says that the file had more");
    else if (end->events == head->events && !chain_hash_equal(&end->head, &head->head))
        audit_tell(audit, AUDIT_HEAD, NULL, EVENT_NO_RECIPIENT,
                   "the chain ends with another link than book.sqlite says");
    else if (at)
        compare_position(audit, head, end->events, at);
}

void audit_compare_head(struct audit *audit, const struct mark *end, const struct book_position *at)
{
    for (size_t i = 0; i < audit->heads.count; i++)
        if (is_of(&audit->heads.list[i], end->kind, end->week, end->lane))
            compare_head(audit, &audit->heads.list[i], end, at);
}

/* A file may have been lost more than once. Where its chain is as long again as it was then, the
 * log had all of it; audit_chain.c tells of those that it never reaches. */
const struct main_file_head *audit_next_lost(const struct audit *audit, enum week_kind kind,
                                             uint32_t lane, uint64_t after)
{
    for (size_t i = 0; i < audit->lost.count; i++) {
        const struct main_file_head *lost = &audit->lost.list[i];
        if (is_of(lost, kind, audit->week, lane) && lost->events > after)
            return lost;
    }
    return NULL;
}

void audit_tell_lost(struct audit *audit, const struct main_file_head *lost)
{
    char text[160], facts[1 + 4 + 4 + 8 + CHAIN_HASH_BYTES];
    uint32_t week_le = htole32((uint32_t)lost->week), lane_le = htole32(lost->at.lane);
    uint64_t events_le = htole64(lost->events);

    facts[0] = (char)lost->kind;
    memcpy(facts + 1, &week_le, 4);
    memcpy(facts + 5, &lane_le, 4);
    memcpy(facts + 9, &events_le, 8);
    memcpy(facts + 17, lost->head.bytes, CHAIN_HASH_BYTES);
    snprintf(text, sizeof(text),
             "was damaged or removed when it had %llu %s, and the log no longer had all of them",
             (unsigned long long)lost->events, lost->kind == WEEK_ENTRIES ? "events" : "refusals");
    audit_tell_for_good(audit, AUDIT_GOOD_LOST_FILE, NULL, EVENT_NO_RECIPIENT,
                        span_of(facts, sizeof(facts)), text);
}

/* A file without tables is what a crash leaves that made the file and committed nothing: fine, as
 * long as nothing of it was ever noted. */
void audit_check_empty(struct audit *audit, enum week_kind kind)
{
    for (size_t i = 0; i < audit->heads.count; i++)
        if (audit->heads.list[i].kind == kind && audit->heads.list[i].week == audit->week) {
            audit_tell(audit, AUDIT_FILE, NULL, EVENT_NO_RECIPIENT, "is empty, and wasn't");
            return;
        }
}

static bool has_head(const struct main_file_heads *heads, const struct main_file_head *head)
{
    for (size_t i = 0; i < heads->count; i++)
        if (is_of(&heads->list[i], head->kind, head->week, head->at.lane))
            return true;
    return false;
}

static void tell_missing(struct audit *audit, const struct main_file_head *head)
{
    char text[80];

    snprintf(text, sizeof(text), "is missing: it had %llu %s", (unsigned long long)head->events,
             head->kind == WEEK_ENTRIES ? "events" : "refusals");
    week_file(head->kind, head->week, audit->file);
    audit_tell(audit, AUDIT_FILE, NULL, EVENT_NO_RECIPIENT, text);
    audit->file[0] = '\0';
}

/* Of files that are there their own walk tells; those before `since_us` weren't to be looked at. */
static bool is_wanted(const struct audit *audit, const struct ledger_list *list,
                      const struct main_file_head *head)
{
    return !ledger_list_has(list, head->kind, head->week) &&
           week_end_us(head->week) > audit->options->since_us;
}

static void tell_lost_files(struct audit *audit, const struct ledger_list *list)
{
    for (size_t i = 0; i < audit->lost.count; i++) {
        const struct main_file_head *lost = &audit->lost.list[i];
        if (!is_wanted(audit, list, lost))
            continue;
        week_file(lost->kind, lost->week, audit->file);
        audit_tell_lost(audit, lost);
        audit->file[0] = '\0';
    }
}

int audit_check_missing(struct audit *audit, const char *folder, const struct ledger_list *list)
{
    struct main_file_heads now = {0};
    int r = 0;

    tell_lost_files(audit, list);
    for (size_t i = 0; r == 0 && i < audit->heads.count; i++) {
        const struct main_file_head *head = &audit->heads.list[i];
        if (!is_wanted(audit, list, head))
            continue;
        if (!now.list) /* retention may just have deleted it */
            r = main_file_read_heads(folder, MAIN_FILE_CHAINS, &now);
        if (r == 0 && has_head(&now, head))
            tell_missing(audit, head);
    }
    free(now.list);
    return r == -ENOMEM ? r : 0;
}
