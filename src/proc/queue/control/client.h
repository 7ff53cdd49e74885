/* A client of the control socket, and what it may have under way: one file each. */
#pragma once

#include "ipc/channel.h"
#include "proc/queue/core/queue.h"

struct acknowledgement;
struct listing;
struct summary;

struct control_client {
    struct list link;
    struct queue *queue;
    struct ipc_channel *channel;
    uint32_t uid;
    int64_t asked_ms;                        /* when it did last, or came */
    struct listing *listing;                 /* list.c */
    struct summary *summary;                 /* summary.c */
    struct list acts;                        /* act.c: under way */
    struct acknowledgement *acknowledgement; /* acknowledge.c: under way */
    struct list inquiries;                   /* preview.c: under way */
    struct list relays;                      /* calls to the supervisor and the book, under way */
};

/* All of these answer the call of the arrival themselves, now or later, also when they fail. Those
 * that free take NULL. */

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
/* The client goes: its acts are finished without it, nothing new is begun. */
void act_drop_all(struct control_client *client);

/* acknowledge.c */
void acknowledge_start(struct control_client *client, const struct ipc_arrival *arrival);
/* The client goes: what was begun is finished. */
void acknowledge_drop(struct control_client *client);

/* preview.c */
void inquiry_start(struct control_client *client, const struct ipc_arrival *arrival);
void inquiry_drop_all(struct control_client *client);
