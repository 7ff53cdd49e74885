/*
 * A mail server for tests, on the same loop and on 127.0.0.1: it answers as it was told, keeps the
 * messages that it took and counts connections.
 */
#pragma once

#include "base/buffer.h"
#include "io/loop.h"

enum { STATION_CONNECTIONS = 16 };

struct station;

struct station_peer {
    struct station *station;
    int fd; /* -1: none */
    struct io_watch *watch;
    struct buffer in;
    bool in_data;
    unsigned recipients; /* of this transaction */
    unsigned messages;
    size_t chunk_left;
    bool chunk_last;
};

struct station {
    struct io_loop *loop;
    int fd;
    unsigned port;
    struct io_watch *watch;
    struct station_peer peers[STATION_CONNECTIONS];
    unsigned connections, messages, resets;
    unsigned greylisted;    /* "grey…", told to come later each time */
    struct buffer commands; /* each on a line */
    struct buffer message;  /* the last one, dots and all */
    /* How it behaves; NULL: the usual reply. */
    const char *greeting, *ehlo, *mail, *rcpt, *data, *end;
    unsigned recipients_max; /* of a transaction; 0: any number */
    bool drop_at_end;        /* closes instead of a verdict */
    bool drop_at_mail;       /* closes when a further message begins … */
    bool one_message;        /* … on the same connection */
    bool one_connection;     /* listens no longer when it has one */
};

void station_open(struct station *station, struct io_loop *loop);
void station_close(struct station *station);
/* Closes the connections, keeps listening. */
void station_hang_up(struct station *station);
