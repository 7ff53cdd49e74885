/*
 * A letter's file in the drop folder when the letter can't be handed over, or not to all of its
 * recipients: it is put off, set aside or cut down. None is ever lost; causes go to the log.
 */
#pragma once

#include "cli/submit.h"

/* Renamed, never removed, and over no other: it is somebody's mail, and only a person can tell what
 * to do with it. */
void letter_set_aside(int folder, const char *name, const char *why);

/* Stays for the next pass; its name tells since when, and of a last try. After a day of that it is
 * set aside; the day begins anew after more than an hour without a try. */
void letter_put_off(int folder, const char *name, const char *why);

/* The server has it for some of its recipients (`each`: none of them is SUBMIT_UNREACHED). The
 * refused ones' is set aside; the file goes when nobody else is left, else it becomes that of the
 * deferred ones, in one step. A crash before that leaves the letter as it was: who has it gets it
 * twice. `why`: the report's text, on one line. */
void letter_cut(int folder, const char *name, const struct submission *s,
                const struct submit_report *report, const char *why);
