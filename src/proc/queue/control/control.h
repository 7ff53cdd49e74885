/*
 * The control socket: who may ask, and what (docs/formats/control.md).
 */
#pragma once

#include "proc/queue/queue.h"

enum { CONTROL_CLIENTS_MAX = 64 };

struct control;
struct control_client;
struct listing;
struct summary;

/* Serves the listening socket (owned from here on, also on failure); a former one is closed. */
int control_listen(struct queue *q, int fd);
void control_free(struct control *control);

struct control_client {
    struct list link;
    struct queue *queue;
    struct ipc_channel *channel;
    uint32_t uid;
    struct listing *listing; /* list.c */
    struct summary *summary; /* summary.c */
    struct list acts;        /* act.c: under way */
    struct list inquiries;   /* preview.c: under way */
    struct list relays;      /* calls to the supervisor and the book, under way */
};

/* list.c */
void listing_start(struct control_client *client, const struct ipc_arrival *arrival);
void listing_more(struct control_client *client, const struct ipc_arrival *arrival);
void listing_free(struct listing *listing);

/* summary.c */
void summary_start(struct control_client *client, const struct ipc_arrival *arrival);
void summary_free(struct summary *summary);

/* act.c */
void act_start(struct control_client *client, const struct ipc_arrival *arrival);
void act_more(struct control_client *client, const struct ipc_arrival *arrival);
void act_drop_all(struct control_client *client);

/* preview.c */
void inquiry_start(struct control_client *client, const struct ipc_arrival *arrival);
void inquiry_drop_all(struct control_client *client);
