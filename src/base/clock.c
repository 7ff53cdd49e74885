#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

static int64_t read_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t clock_monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_boottime_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

int64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / 1000;
}

/* Rounded towards the past, so that times before 1970 print too. */
static time_t seconds_of(int64_t wall_us)
{
    return (time_t)(wall_us / 1000000 - (wall_us % 1000000 < 0));
}

void clock_format_rfc3339(int64_t wall_us, char out[static CLOCK_RFC3339_SIZE])
{
    time_t seconds = seconds_of(wall_us);
    int ms = (int)((wall_us % 1000000 + 1000000) % 1000000 / 1000);
    char day[32] = "";
    struct tm tm = {0};

    gmtime_r(&seconds, &tm);
    strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, CLOCK_RFC3339_SIZE, "%.19s.%03uZ", day, (unsigned)ms % 1000);
}

void clock_format_rfc5322(int64_t wall_us, char out[static CLOCK_RFC5322_SIZE])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = seconds_of(wall_us);
    struct tm tm = {0};

    localtime_r(&seconds, &tm);
    int zone = (int)(tm.tm_gmtoff / 60);
    unsigned minutes = (unsigned)(zone < 0 ? -zone : zone);
    snprintf(out, CLOCK_RFC5322_SIZE, "%.3s, %d %.3s %d %02d:%02d:%02d %c%02u%02u",
             days + 3 * (tm.tm_wday % 7), tm.tm_mday, months + 3 * (tm.tm_mon % 12),
             tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec, zone < 0 ? '-' : '+',
             minutes / 60, minutes % 60);
}

void clock_format_local(int64_t wall_us, char out[static CLOCK_RFC3339_SIZE])
{
    time_t seconds = seconds_of(wall_us);
    struct tm tm = {0};

    localtime_r(&seconds, &tm);
    strftime(out, CLOCK_RFC3339_SIZE, "%Y-%m-%d %H:%M:%S", &tm);
}

/* "30m": before now. A million of any unit is the end: years enough, and no product overflows. */
static int parse_age(const char *text, int64_t now_us, int64_t *out)
{
    long long count;
    char unit, rest;

    if (sscanf(text, "%lld%c%c", &count, &unit, &rest) != 2 || count < 0 || count > 1000000)
        return -EINVAL;
    int64_t seconds;
    switch (unit) {
    case 's':
        seconds = 1;
        break;
    case 'm':
        seconds = 60;
        break;
    case 'h':
        seconds = 3600;
        break;
    case 'd':
        seconds = 86400;
        break;
    case 'w':
        seconds = 604800;
        break;
    default:
        return -EINVAL;
    }
    *out = now_us - count * seconds * 1000000;
    return 0;
}

/* "Z", "+01:00" or nothing (local time). */
static int apply_zone(const char *zone, struct tm *tm, int64_t *out_seconds)
{
    int hours, minutes;
    char sign, rest;

    if (*zone == '\0') {
        tm->tm_isdst = -1;
        *out_seconds = (int64_t)mktime(tm);
        return 0;
    }
    *out_seconds = (int64_t)timegm(tm);
    if (strcmp(zone, "Z") == 0 || strcmp(zone, "z") == 0)
        return 0;
    /* sscanf() would take a second sign. */
    if (zone[1 + strspn(zone + 1, "0123456789:")] ||
        sscanf(zone, "%c%2d:%2d%c", &sign, &hours, &minutes, &rest) != 3 ||
        (sign != '+' && sign != '-') || hours > 23 || minutes > 59)
        return -EINVAL;
    int64_t offset = hours * 3600 + minutes * 60;
    *out_seconds -= sign == '+' ? offset : -offset;
    return 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* strptime() and sscanf() pass over blanks nearly everywhere. One, between two digits, may part a
 * date from its time. */
static bool has_stray_blank(const char *text)
{
    for (size_t i = 0; text[i]; i++)
        if (isspace((unsigned char)text[i]) &&
            (text[i] != ' ' || i == 0 || !is_digit(text[i - 1]) || !is_digit(text[i + 1])))
            return true;
    return false;
}

/* "18:00" or "18:00:03.12". */
static const char *parse_time(const char *text, struct tm *tm, int64_t *out_fraction)
{
    const char *rest = strptime(text, "%H:%M:%S", tm);
    int64_t unit = 100000;

    if (!rest)
        return strptime(text, "%H:%M", tm);
    if (*rest != '.')
        return rest;
    if (!is_digit(rest[1]))
        return NULL;
    for (rest++; is_digit(*rest); rest++, unit /= 10)
        *out_fraction += (*rest - '0') * unit;
    return rest;
}

int clock_parse(struct span text, int64_t now_us, int64_t *out_wall_us)
{
    char buf[64];
    struct tm tm = {0};
    int64_t seconds, fraction = 0;

    if (text.size == 0 || text.size >= sizeof(buf) || memchr(text.data, 0, text.size))
        return -EINVAL;
    memcpy(buf, text.data, text.size);
    buf[text.size] = '\0';

    if (!is_digit(buf[0]) || has_stray_blank(buf))
        return -EINVAL;

    /* What doesn't start as a date is taken for an age. */
    const char *rest = strptime(buf, "%Y-%m-%d", &tm);
    if (!rest)
        return parse_age(buf, now_us, out_wall_us);
    if (*rest == 'T' || *rest == 't' || *rest == ' ')
        rest = parse_time(rest + 1, &tm, &fraction);
    if (!rest || apply_zone(rest, &tm, &seconds) < 0)
        return -EINVAL;
    *out_wall_us = seconds * 1000000 + fraction;
    return 0;
}

/* At most two units, cut and not rounded: "4m59s" is less than five minutes. */
void clock_format_duration(int64_t ms, char out[static 32])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};

    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (ms < units[i].ms)
            continue;
        int n = snprintf(out, 32, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
        ms %= units[i].ms;
        if (i + 1 < ARRAY_SIZE(units) && ms >= units[i + 1].ms)
            snprintf(out + n, 32 - (size_t)n, "%lld%s", (long long)(ms / units[i + 1].ms),
                     units[i + 1].unit);
        return;
    }
    snprintf(out, 32, "%lldms", (long long)ms);
}

/* In two steps: the difference of the times themselves may be too large. */
void clock_format_between(int64_t from_us, int64_t to_us, char out[static 32])
{
    clock_format_duration(to_us > from_us ? to_us / 1000 - from_us / 1000 : 0, out);
}
