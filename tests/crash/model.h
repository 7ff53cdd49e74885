/*
 * The model: what the spool was given, what it acknowledged, and so what it must still know after
 * any crash. It knows nothing of segments, groups or seals.
 *
 * Every record that the caller caused has a sequence number, in the order of the calls; in the log
 * they lie in the order of their completions. Its fate:
 *
 *     PENDING ── completion 0 ──→ SEALED       must be there, for ever
 *        └─ completion ≠ 0, crash ─→ MAYBE     whole or absent; both are right
 *     MAYBE ── recovery shows it ──→ SEALED,  shows that it isn't there ──→ DEAD (never again)
 *
 * A message's bytes, recipients and texts are made from its seed, so nothing of them is kept.
 */
#pragma once

#include "prng.h"
#include "spool/record.h"
#include "spool/spool.h"

enum model_fate { MODEL_PENDING, MODEL_SEALED, MODEL_MAYBE, MODEL_DEAD };

enum model_kind { MODEL_MESSAGE, MODEL_EXPAND, MODEL_STATUS, MODEL_EVENT };

struct model_record {
    uint8_t kind, fate;
    uint32_t message; /* index; of events the size of their bytes */
    uint64_t order; /* counts the completions; 0: none was seen, the place in the log is unknown */
    struct spool_position folded_at; /* where the book first saw it */
};

/* One status given to one recipient; later ones count more. */
struct model_status {
    uint64_t sequence;
    uint8_t outcome;
    uint16_t attempts;
    int64_t next_attempt_us;
    struct span route; /* where it goes from then on; "": where it went. Lives for ever */
};

struct model_recipient {
    struct model_status *statuses;
    size_t count;
};

enum { MODEL_EXPANSIONS_MAX = 2 };

struct model_message {
    struct id id;
    uint64_t seed, sequence; /* sequence 0: never given */
    int64_t accepted_us;
    uint32_t header_size, body_size;
    uint32_t envelope_recipients, children[MODEL_EXPANSIONS_MAX];
    uint32_t expansions, recipient_count; /* with the children */
    struct model_recipient *recipients;
    bool listed;     /* the spool has said so */
    bool gone;       /* it said that all recipients have their fates */
    bool harmed;     /* damage at rest may have hit it */
    bool is_longest; /* all of its envelope is as long as may be */
};

struct model {
    struct model_record *records; /* by sequence number, from 1 */
    uint64_t record_count;
    uint64_t sealed_count;    /* records with an order */
    uint64_t recovered_below; /* records below were given before the last recovery */
    uint64_t folded_below;    /* all records below are folded or can't be */
    struct model_message *messages;
    size_t message_count;
    uint32_t *live; /* indices of those that may still be there */
    size_t live_count;
    char failure[512]; /* the first rule that was broken; empty: none */
};

void model_done(struct model *model);

/* Notes what broke; only the first counts. */
void model_fail(struct model *model, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline bool model_failed(const struct model *model)
{
    return model->failure[0] != '\0';
}

/* A record that was given to the spool; PENDING. */
uint64_t model_record(struct model *model, enum model_kind kind, uint32_t message);
/* What the completion of the records first … first+count-1 said. */
void model_complete(struct model *model, uint64_t first, uint64_t count, int error);
/* The process died: what was pending may be there. */
void model_crash(struct model *model);

/* A new message by chance, not yet given to the spool. `recipients` of its envelope; 0: by chance.
 */
struct model_message *model_new_message(struct model *model, struct prng *prng, int64_t now_us,
                                        uint32_t body_size, uint32_t recipients);
/* The spool took it: its records (one, and one for each expansion) are pending. */
void model_give_message(struct model *model, struct model_message *message);
struct model_message *model_find(struct model *model, const struct id *id);
enum model_fate model_fate_of(const struct model *model, const struct model_message *message);
/* It is acknowledged and not all of its recipients have a sealed fate. */
bool model_must_exist(const struct model *model, const struct model_message *message);

void model_add_status(struct model_message *message, uint32_t recipient,
                      const struct model_status *status);
/* The newest final status that is not known to be dead, or NULL. */
const struct model_status *model_final(const struct model *model,
                                       const struct model_recipient *recipient);
bool model_is_parent(const struct model_message *message, uint32_t recipient);

/* Does what the spool says of a recipient (NULL: it isn't waiting) agree with a state that the
 * rules allow? If so that state is the truth from now on. */
bool model_adopt_recipient(struct model *model, struct model_message *message, uint32_t index,
                           const struct spool_recipient *shown);
/* May the recipient's mark, that its sender was told of the delay, be this? */
bool model_may_be_notified(const struct model *model, const struct model_recipient *recipient,
                           bool notified);
/* May it go there, by the reroutings that are or may be on disk? `own`: its address's domain. */
bool model_may_go_to(const struct model *model, const struct model_recipient *recipient,
                     struct span own, struct span where);
/* Forgets messages that are gone or dead. */
void model_sweep(struct model *model);

/* All that a message is made of; freed as one. */
struct model_content {
    struct arena arena;
    struct envelope envelope;
    struct spool_expansion expansions[MODEL_EXPANSIONS_MAX];
    struct span header, body;
};

void model_content_make(const struct model_message *message, struct model_content *out);
void model_content_done(struct model_content *content);
