/*
 * Weeks as numbers since that of 1970-01-01, and their names by ISO 8601. A name is only taken when
 * writing it again gives the same: "book-2026-W60" or one with a suffix is none of ours.
 */
#include "book/week.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static const int64_t day_us = INT64_C(86400) * 1000000;
static const char *const prefixes[] = {[WEEK_ENTRIES] = "book", [WEEK_REFUSALS] = "refusals"};

enum { FIRST_MONDAY_DAYS_BACK = 3 /* 1970-01-01 was a Thursday */, LAST_WEEK = 418985 };

int week_of_us(int64_t wall_us)
{
    if (wall_us < 0)
        return 0;
    int64_t week = (wall_us / day_us + FIRST_MONDAY_DAYS_BACK) / 7;
    return week > LAST_WEEK ? LAST_WEEK : (int)week;
}

int week_of_id(const struct id *id)
{
    return week_of_us(id_time_ms(id) * 1000);
}

int64_t week_end_us(int week)
{
    return ((int64_t)(week + 1) * 7 - FIRST_MONDAY_DAYS_BACK) * day_us;
}

/* The year of an ISO week is that of its Thursday (ISO 8601, 2.2.10). */
static void year_and_number(int week, int *out_year, int *out_number)
{
    time_t thursday = (time_t)week * 7 * 86400;
    struct tm tm;

    gmtime_r(&thursday, &tm);
    *out_year = tm.tm_year + 1900;
    *out_number = tm.tm_yday / 7 + 1;
}

void week_file(enum week_kind kind, int week, char out[static WEEK_FILE_SIZE])
{
    int year, number;

    year_and_number(week, &year, &number);
    snprintf(out, WEEK_FILE_SIZE, "%s-%04d-W%02d.sqlite", prefixes[kind], year, number);
}

/* The week whose Thursday is the (7 * number - 6)th to (7 * number)th day of the year. */
static int week_from(int year, int number)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mday = 7 * number - 3};
    return week_of_us((int64_t)timegm(&tm) * 1000000);
}

int week_parse_file(const char *name, enum week_kind *out_kind, int *out_week)
{
    char again[WEEK_FILE_SIZE];
    int year, number;

    for (unsigned kind = 0; kind < ARRAY_SIZE(prefixes); kind++) {
        size_t prefix = strlen(prefixes[kind]);
        if (strncmp(name, prefixes[kind], prefix) != 0 ||
            sscanf(name + prefix, "-%4d-W%2d.sqlite", &year, &number) != 2)
            continue;
        if (year < 1970 || year > 9999 || number < 1 || number > 53)
            continue;
        int week = week_from(year, number);
        week_file((enum week_kind)kind, week, again);
        if (strcmp(name, again) != 0)
            continue;
        *out_kind = (enum week_kind)kind;
        *out_week = week;
        return 0;
    }
    return -EINVAL;
}
