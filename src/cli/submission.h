/*
 * One message on its way from a program on this machine to the server: over the socket for local
 * submission (submit.h), or as a file in the drop folder while there is no server (drop.h).
 * All borrowed.
 */
#pragma once

#include "base/span.h"

struct submission {
    struct span sender; /* canonical, "" for the null sender */
    const struct span *recipients;
    size_t recipient_count;
    struct span message; /* lines end with CRLF */
    bool eight_bit;
    bool smtputf8;
    struct span notify; /* RFC 3461: "NEVER", "SUCCESS,DELAY", …; "" when nothing was asked for */
    struct span ret;    /* "FULL", "HDRS" or "" */
    struct span envid;  /* xtext, or "" */
    struct span owner;  /* of what is left of a letter: the user id of who wrote it; else "" */
};
