/*
 * The body of the message that arrives: decoded, hashed and scanned piece by piece. Up to
 * SMTP_INLINE_MAX bytes stay in memory; more are handed to the backend as they come. When the
 * backend can't take a piece, the body is stuck, and the session takes no input until it resumes.
 *
 *   in memory ──SMTP_INLINE_MAX──▶ uploading ──end, handed over──▶ the commit's
 *      │                            │ ▲  │
 *      │                     -EAGAIN│ │resume
 *      │                            ▼ │  │
 *      │                           stuck │
 *      └──a problem──▶ dropping ◀────────┘
 *
 * A body with a problem (a fault in its bytes, a limit passed, storage lost) reads on to its end
 * and drops what it reads; an upload is aborted then. A small body is handed over from memory.
 */
#pragma once

#include "smtp/server/session.h"

struct smtp_body;

/* `dots`: DATA, else BDAT. NULL: no memory. */
struct smtp_body *smtp_body_new(struct smtp_server *server, bool dots);
/* Aborts an upload that wasn't handed over. NULL is fine. */
void smtp_body_free(struct smtp_body *body);

/* Takes from `in`, returns how much; less than all when the end was found or the body got stuck. */
size_t smtp_body_feed(struct smtp_body *body, struct span in);
bool smtp_body_has_ended(const struct smtp_body *body);
bool smtp_body_is_stuck(const struct smtp_body *body);
void smtp_body_resume(struct smtp_body *body, int error);
/* Pieces that the backend still has are of no use any more, if there are any. */
void smtp_body_abort_upload(struct smtp_body *body);

/* The end was found or counted: the digest is made. */
void smtp_body_finish(struct smtp_body *body);
/* NULL, or why the message can't be taken; the text lives in the body. */
const struct smtp_reply *smtp_body_problem(struct smtp_body *body);

/* Gives the rest of an upload to the backend, if there is one. False: the body is stuck. */
bool smtp_body_flush_upload(struct smtp_body *body);
/* Fills in what the body knows; the message now belongs to whoever is asked about it. */
void smtp_body_hand_over(struct smtp_body *body, struct envelope *envelope,
                         struct smtp_message *out_message);
