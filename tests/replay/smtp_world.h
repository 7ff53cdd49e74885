/*
 * The world of a server session under test: it owns time, answers the session's questions by rules
 * or when told to, keeps what was committed and refused, and counts what is still open. The replay
 * driver and the session's fuzz target both live on it.
 */
#pragma once

#include "smtp/server.h"

enum smtp_world_order {
    SMTP_WORLD_AT_ONCE, /* answers come inside ask() */
    SMTP_WORLD_FIRST,   /* later, in the order asked */
    SMTP_WORLD_LAST,    /* later, the newest question first */
};

struct smtp_world_rule {
    enum smtp_question_kind kind;
    char address[128]; /* "" or "*": any */
    struct smtp_answer answer;
    char text[128];
    char as[128]; /* where an accepted recipient goes */
};

enum { SMTP_WORLD_RULES = 32, SMTP_WORLD_OPEN = 64 };

struct smtp_world {
    struct smtp_server_settings settings;
    struct smtp_server_time time;
    struct smtp_server_client client;
    enum smtp_world_order order;
    bool hold;    /* questions wait for smtp_world_answer_all() */
    bool silent;  /* ask() fails */
    bool blocked; /* upload pieces are not taken */
    bool broken;  /* upload pieces fail */

    struct smtp_server *server;
    struct smtp_world_rule rules[SMTP_WORLD_RULES];
    size_t rule_count;
    struct smtp_question *open[SMTP_WORLD_OPEN];
    size_t open_count;
    bool upload_open; /* pieces that were neither committed nor aborted */
    struct id_maker ids;

    struct buffer upload;
    struct buffer messages;     /* a line each, see smtp_world.c */
    struct buffer refusals;     /* a line each: "phase reply recipient" */
    struct buffer header, body; /* of the last message */
    size_t message_count;
};

extern const struct smtp_server_backend smtp_world_backend;

void smtp_world_init(struct smtp_world *world);
int smtp_world_connect(struct smtp_world *world);
/* Ends the session and checks that nothing stayed open. */
void smtp_world_done(struct smtp_world *world);
/* Answers by the rules until no question is open. */
void smtp_world_answer_all(struct smtp_world *world);
