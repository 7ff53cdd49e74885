/*
 * The smtp process without its sandbox; beside it, on the same loop, a queue, a resolver that knows
 * nothing, and two stations.
 */
#pragma once

#include "../../unit.h"

#include "mail/envelope.h"
#include "proc/smtp/proc.h"
#include "station.h"

#include <unistd.h>

extern struct bench {
    struct smtp_proc proc;
    struct ipc_channel *queue, *resolver;
    int own_fd;      /* of the process, to the queue */
    uint64_t wanted; /* the job whose body the process asked for */
    uint64_t stop;   /* its call for no more jobs, while `keeps_on` holds up the answer */
    bool keeps_on;
    struct station first, second;
    unsigned questions;
    bool silent, broken;     /* the resolver */
    struct ipc_rdata mx[40]; /* what it says to any question for an MX */
    size_t mx_count;
    bool hosts_are_silent; /* whose names begin with "h" */
} bench;

extern const struct conf_smtp bench_conf;

/* Of each test: all is there, and nothing was asked. */
int bench_set_up(void **state);
int bench_tear_down(void **state);
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)

/* Turns the loop until the condition holds; ten seconds are for ever. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        for (int i_ = 0; i_ < 10000 && !(condition); i_++) {                                       \
            io_loop_turn(bench.proc.process.loop);                                                 \
            usleep(1000);                                                                          \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

/* A job that the queue asked for, and its result. */
struct asked {
    struct ipc_call call, chunk;
    unsigned answers, taken;
    size_t count;
    char mx_set[300];
    struct {
        uint8_t outcome, scope;
        char status[16], text[512], remote_id[64], host[300], ip[64], earlier[512];
    } of[4];
};

/* To bob@b.test and, if there are two recipients, carol@b.test. */
void bench_ask(struct asked *a, const char *next_hop, struct span body, uint64_t size,
               size_t recipients);
void bench_ask_for(struct asked *a, const char *next_hop, struct span body, uint64_t size,
                   struct ipc_job_recipient *to, size_t recipients);
/* A short message to bob@b.test; waits for the result. */
void bench_deliver(struct asked *a, const char *next_hop);
/* Next hops: valid until the next call. */
const char *bench_to_first(void);
const char *bench_to_both(void);

/* No job comes behind the answer to the process's call. */
void bench_say_stopped(void);
/* A queue and a resolver have come; those that were there are the caller's to free before. */
void bench_connect_peers(void);

/* It says that the trouble is this server's own. */
void bench_assert_ours(const struct asked *a);

void bench_copy(struct span from, char *to, size_t size);
/* Of a role that minds no end. */
void bench_on_lost(void *owner, struct ipc_channel *channel, int error);
