/*
 * One function a question, from what is known to an action and a text. Nothing here looks at a
 * socket, a counter or a file, so every combination can be tested as a table.
 */
#include "proc/directory/verdict.h"

#include <errno.h>

/* SPAN() for static tables. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

void verdict_on_client(enum limits_verdict limits, struct ipc_client_verdict *out)
{
    static const struct span texts[] = {
        [LIMITS_FINE] = TEXT(""),
        [LIMITS_TOO_MANY] = TEXT("too many connections from you at once, try again later"),
        [LIMITS_TOO_FAST] = TEXT("too many connections from you in a minute, try again later"),
        [LIMITS_TOO_BAD] = TEXT("too many unknown recipients from you, try again in ten minutes"),
    };
    *out = (struct ipc_client_verdict){
        .action = limits == LIMITS_FINE ? IPC_CLIENT_ACCEPT : IPC_CLIENT_DEFER,
        .text = texts[limits],
    };
}

static struct span why_no_expansion(int error)
{
    switch (error) {
    case -ENOLINK:
        return SPAN("its alias leads to nobody, the postmaster has to mend it");
    case -EAGAIN:
        return SPAN("a users file is empty, the postmaster has to mend it");
    case -E2BIG:
        return SPAN("its alias has too many recipients, the postmaster has to mend it");
    default:
        return SPAN("out of memory");
    }
}

/* An alias is only taken when all that it stands for can be reached. */
static void on_alias(const struct people *people, struct span address, struct arena *arena,
                     struct ipc_rcpt_verdict *out)
{
    struct span *to;
    size_t count;
    int r = people_expand(people, address, arena, &to, &count);

    out->action = r < 0 ? IPC_RCPT_DEFER : IPC_RCPT_ACCEPT;
    out->expands = r == 0;
    out->members = r < 0 ? 0 : (uint32_t)count;
    if (r < 0)
        out->text = why_no_expansion(r);
}

/* Does the local part name a way of its own (user%host, host!user, user@host)? The server behind us
 * may follow it, and then we were an open relay for strangers. */
static bool names_a_way(struct span local)
{
    return span_find(local, '%') >= 0 || span_find(local, '!') >= 0 || span_find(local, '@') >= 0;
}

static void reject(struct ipc_rcpt_verdict *out, struct span text)
{
    out->action = IPC_RCPT_REJECT;
    out->text = text;
}

static void on_foreign(struct span local, struct span domain, enum verdict_relay relay,
                       struct ipc_rcpt_verdict *out)
{
    if (domain.size == 0)
        out->action = IPC_RCPT_UNKNOWN;
    else if (relay == VERDICT_RELAY_NONE)
        out->action = IPC_RCPT_DENIED;
    else if (domain.data[0] == '[')
        reject(out, SPAN("mail is not carried to addresses in brackets, name a domain"));
    else if (relay == VERDICT_RELAY_DOMAIN && names_a_way(local))
        reject(out, SPAN("an address that names a way behind this domain is not accepted"));
    else
        out->action = IPC_RCPT_RELAY;
}

void verdict_on_recipient(const struct people *people, struct span local, struct span domain,
                          enum verdict_relay relay, struct arena *arena,
                          struct ipc_rcpt_verdict *out)
{
    *out = (struct ipc_rcpt_verdict){.action = IPC_RCPT_DEFER};
    if (!people) {
        out->text = SPAN("the directory of users has errors, the postmaster has to mend it");
        return;
    }
    switch (people_find(people, local, domain, &out->address)) {
    case PEOPLE_FOREIGN:
        on_foreign(local, domain, relay, out);
        break;
    case PEOPLE_NOBODY:
        out->action = IPC_RCPT_UNKNOWN;
        break;
    case PEOPLE_UNSURE:
        out->text = SPAN("the users file of this domain is empty, the postmaster has to mend it");
        break;
    case PEOPLE_USER:
        out->action = IPC_RCPT_ACCEPT;
        break;
    case PEOPLE_ALIAS:
        on_alias(people, out->address, arena, out);
        break;
    }
}

/* A report's reader may be a plain user: he stands for himself. Want of memory is never told as an
 * unknown user: the queue would give the report up for that. */
static void expand_user(const struct people *people, struct span address, struct arena *arena,
                        struct ipc_expanded *out)
{
    struct ipc_expanded_address *self = arena_alloc(arena, sizeof(*self));
    struct address a;

    out->error = self ? -ENOENT : -ENOMEM;
    if (!self || address_parse(address, ADDRESS_ALLOW_UTF8, &a) != ADDRESS_OK)
        return;
    enum people_kind kind =
        people_find(people, address_raw_local(&a), address_domain(&a), &self->address);
    if (kind == PEOPLE_UNSURE)
        out->error = -EAGAIN;
    if (kind == PEOPLE_USER)
        *out = (struct ipc_expanded){.is_user = true, .addresses = self, .address_count = 1};
}

/* -EAGAIN without a table, or with an empty users file: whoever asks must not take a broken users
 * file for an unknown user. */
void verdict_expand(const struct people *people, struct span address, struct arena *arena,
                    struct ipc_expanded *out)
{
    struct span *to;
    size_t count;

    *out = (struct ipc_expanded){.error = -EAGAIN};
    if (!people)
        return;
    int r = people_expand(people, address, arena, &to, &count);
    if (r == -ENOENT) {
        expand_user(people, address, arena, out);
        return;
    }
    struct ipc_expanded_address *list =
        r < 0 ? NULL : arena_alloc_array(arena, count, sizeof(*list));
    out->error = r < 0 ? r : list ? 0 : -ENOMEM;
    for (size_t i = 0; list && i < count; i++)
        list[i].address = to[i];
    if (list) {
        out->addresses = list;
        out->address_count = count;
    }
}
