/* smtpd between a client's socket, a directory and a queue that are played here, in one loop. */
#pragma once

#include "../../unit.h"

#include "proc/smtpd/life.h"
#include <sys/socket.h>
#include <sys/un.h>

struct world {
    struct smtpd smtpd;
    struct io_loop *loop;
    struct ipc_channel *directory, *queue;
    int peer_fd; /* smtpd's end of whoever is played since last */
    int port;
    struct sockaddr_un local;
    socklen_t local_size;
    int client;
    struct buffer said; /* by the server, not looked at yet */
    bool closed;

    uint64_t last_client;
    unsigned recipients; /* asked about; a recipient's ticket is full of its number */
    char tickets[200];   /* the first byte of each, of the last message */
    unsigned checks, gone, refused_by_gone, events, aborts, commits;
    bool hold_commit, hold_chunks, hold_recipients;
    bool trusted; /* who comes */
    bool many;    /* clients at a time, which the directory doesn't tell apart */
    uint64_t commit_token, chunk_tokens[16];
    unsigned chunk_count, held_chunks;
    int chunk_error; /* that they are answered with */
    size_t uploaded, body_size;
    uint64_t number; /* of the last upload */
    char recipient[200];
};

/* The largest message that is taken, unless a test configures another. */
enum { SIZE_LIMIT = 10000000 };

/* Of each test: smtpd with both peers, and nobody connected; no session may be left. */
int world_set_up(void **state);
int world_tear_down(void **state);
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

/* A directory, or a queue, comes (instead of the one before). */
void world_join_directory(struct world *w);
void world_join_queue(struct world *w);
/* A new configuration with listeners of its own. */
void world_configure(struct world *w, uint32_t connections_max, uint64_t message_size_max);
/* Until nothing has moved for a while. */
void world_turns(struct world *w);

/* ---- the client ---- */

void world_dial(struct world *w);
void world_dial_locally(struct world *w);
void world_hang_up(struct world *w);
/* False when the server reads no more. */
bool world_transmit(struct world *w, const char *text, size_t size);
/* Sends and expects these codes, one a line; "" for none. */
void world_say(struct world *w, const char *text, const char *codes);

#define OPENING "MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@a.test>\r\n"

/* ---- the queue ---- */

/* Answers the commit that was held (hold_commit), or the chunks (hold_chunks). */
void world_answer_commit(struct world *w);
void world_take_chunks(struct world *w);
