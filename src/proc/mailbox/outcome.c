#include "proc/mailbox/outcome.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* The scope is RECIPIENT unless the trouble is known to be everybody's: a wrong DESTINATION would
 * pause all mailboxes for the sake of one. */
void mailbox_outcome_set(struct mailbox_outcome *o, enum ipc_outcome result, const char *status,
                         const char *format, ...)
{
    va_list args;

    *o = (struct mailbox_outcome){.result = result, .scope = IPC_SCOPE_RECIPIENT};
    snprintf(o->status, sizeof(o->status), "%s", status);
    va_start(args, format);
    vsnprintf(o->text, sizeof(o->text), format, args);
    va_end(args);
}

void mailbox_outcome_set_delivered(struct mailbox_outcome *o, const char *folder, const char *name)
{
    mailbox_outcome_set(o, IPC_OUTCOME_DELIVERED, "2.0.0", "delivered into the mailbox");
    snprintf(o->place, sizeof(o->place), "%s/new/%s", folder, name);
}

/* RFC 3463: x.2.2 mailbox full, x.3.1 mail system full, x.3.5 system incorrectly configured, x.3.0
 * other system trouble, x.1.3 bad address syntax. All but an impossible name are temporary: someone
 * can mend them while the message waits. */
static const struct trouble {
    int error;
    enum ipc_outcome result;
    enum ipc_scope scope;
    const char *status;
    const char *mend;
    const char *what; /* for strangers, NULL: nothing more than that it failed */
} troubles[] = {
    {EDQUOT, IPC_OUTCOME_DEFERRED, IPC_SCOPE_RECIPIENT, "4.2.2",
     "the file system's quota of the mailbox's owner is used up: mail must be deleted there or the "
     "quota raised",
     "the mailbox is full"},
    {EACCES, IPC_OUTCOME_DEFERRED, IPC_SCOPE_RECIPIENT, "4.3.5",
     "the administrator must let the user that delivers mail write there"},
    {EPERM, IPC_OUTCOME_DEFERRED, IPC_SCOPE_RECIPIENT, "4.3.5",
     "the administrator must let the user that delivers mail write there"},
    {ELOOP, IPC_OUTCOME_DEFERRED, IPC_SCOPE_RECIPIENT, "4.3.5",
     "a symbolic link is in the way and is not followed: the administrator must put a folder in "
     "its place"},
    {ENOTDIR, IPC_OUTCOME_DEFERRED, IPC_SCOPE_RECIPIENT, "4.3.5",
     "something that is no folder is in the way: the administrator must move it away"},
    {ENOSPC, IPC_OUTCOME_DEFERRED, IPC_SCOPE_DESTINATION, "4.3.1",
     "the disk with the mailboxes is full: the administrator must make room"},
    {EROFS, IPC_OUTCOME_DEFERRED, IPC_SCOPE_DESTINATION, "4.3.0",
     "the disk with the mailboxes is read-only: the administrator must mend it"},
    {EIO, IPC_OUTCOME_DEFERRED, IPC_SCOPE_DESTINATION, "4.3.0",
     "the disk with the mailboxes fails: the administrator must mend it"},
    {EMFILE, IPC_OUTCOME_DEFERRED, IPC_SCOPE_OURS, "4.3.0", "too many files are open at once"},
    {ENFILE, IPC_OUTCOME_DEFERRED, IPC_SCOPE_OURS, "4.3.0", "too many files are open at once"},
    {ENOMEM, IPC_OUTCOME_DEFERRED, IPC_SCOPE_OURS, "4.3.0", "memory is short"},
    {ENAMETOOLONG, IPC_OUTCOME_FAILED, IPC_SCOPE_RECIPIENT, "5.1.3",
     "nothing can be done about it here", "the address is too long for a mailbox's name"},
};

static const char failed[] = "the mailbox can't be written";

void mailbox_outcome_set_error(struct mailbox_outcome *o, const char *doing, const char *path,
                               int error)
{
    const char *what = strerrordesc_np(-error);

    for (size_t i = 0; i < ARRAY_SIZE(troubles); i++) {
        const struct trouble *t = &troubles[i];
        if (t->error != -error)
            continue;
        mailbox_outcome_set(o, t->result, t->status, "%s: can't %s %s (%s): %s",
                            t->what ? t->what : failed, doing, path, what, t->mend);
        o->scope = t->scope;
        return;
    }
    mailbox_outcome_set(o, IPC_OUTCOME_DEFERRED, "4.3.0", "%s: can't %s %s (%s)", failed, doing,
                        path, what ? what : "unknown error");
}
