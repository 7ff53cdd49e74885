/*
 * The clocks. Wall-clock time (µs since 1970, UTC) goes into records and replies; deadlines and
 * pauses use the monotonic clock (ms), which no administrator can set back. Code that tests replay
 * (sessions, scheduler, spool) never asks here: it is told the time.
 */
#pragma once

#include "base/span.h"

/* An administrator or NTP can set it at any time, also back: no deadline may rest on it alone. */
int64_t clock_wall_us(void);
/* Since some fixed time before the start of the process; the same for all processes of one boot. */
int64_t clock_monotonic_ms(void);
/* Of the same clock, for measuring what is short. */
int64_t clock_monotonic_us(void);
/* Since the boot, also of the time that the machine was suspended for, in which the monotonic clock
 * stands still: as far as this one has gone, the wall clock should have. */
int64_t clock_boottime_us(void);

enum { CLOCK_RFC3339_SIZE = sizeof("2026-11-21T18:00:03.120Z"), CLOCK_RFC5322_SIZE = 48 };

/* RFC 3339 section 5.6 with milliseconds, UTC. */
void clock_format_rfc3339(int64_t wall_us, char out[static CLOCK_RFC3339_SIZE]);
/* RFC 5322 section 3.3 date-time in local time with a numeric zone: "Sat, 21 Nov
 * 2026 18:00:03 +0100". */
void clock_format_rfc5322(int64_t wall_us, char out[static CLOCK_RFC5322_SIZE]);
/* For people on a terminal, local time: "2026-11-21 18:00:03". */
void clock_format_local(int64_t wall_us, char out[static CLOCK_RFC3339_SIZE]);
/* Reads what people type on a command line: RFC 3339 (seconds or fractions, Z or offset),
 * "YYYY-MM-DD[ HH:MM[:SS]]" as local time, or an age like "30m", "2h", "3d", "1w" before `now_us`.
 * 0, or -EINVAL with *out_wall_us untouched. */
int clock_parse(struct span text, int64_t now_us, int64_t *out_wall_us);

/* A duration for people: "850ms", "12s", "4m30s", "3h", "2d4h". */
void clock_format_duration(int64_t ms, char out[static 32]);
/* The same of what lies between two times, in µs; none when they are the wrong way round. They may
 * come from others: whatever they are, nothing overflows. */
void clock_format_between(int64_t from_us, int64_t to_us, char out[static 32]);
