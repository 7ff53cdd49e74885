/* The decisions on clients and recipients, taken on what was parsed and never on text. Pure. */
#pragma once

#include "ipc/catalogue.h"
#include "people/people.h"
#include "proc/directory/limits.h"

/* Fills the reply; its text is constant. */
void verdict_on_client(enum limits_verdict limits, struct ipc_client_verdict *out);

/* What foreign domains a client may send to. */
enum verdict_relay {
    VERDICT_RELAY_NONE,
    VERDICT_RELAY_DOMAIN, /* a stranger, but the domain at hand is one of `relays` */
    VERDICT_RELAY_ALL,    /* a program on this machine, or from a trusted network */
};

/* May mail go to local@domain? `people` may be NULL: there is no valid table yet. The reply's texts
 * are constant or the table's. `arena` is scratch. */
void verdict_on_recipient(const struct people *people, struct span local, struct span domain,
                          enum verdict_relay relay, struct arena *arena,
                          struct ipc_rcpt_verdict *out);

/* Who an address stands for, in `arena`: the alias's recipients, or the user himself. */
void verdict_expand(const struct people *people, struct span address, struct arena *arena,
                    struct ipc_expanded *out);
