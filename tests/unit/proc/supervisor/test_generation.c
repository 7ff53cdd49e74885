/* A new configuration is sent round: to processes that are played here, by what part_send() says.
 */
#include "../../unit.h"

#include "../../../place.h"
#include "base/log.h"
#include "proc/supervisor/supervisor.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { CHILDREN = 4, UNSENDABLE = 1, ENDING = 2 };

static struct supervisor supervisor;
static char folder[PLACE_BYTES], config_file[PLACE_BYTES + 16];
static int killed[CHILDREN];
static size_t killed_count;
static char told[70000], logged[1000];
static int folders_error, mailboxes_error; /* what making them says */
static int sending_error;                  /* what sending it to UNSENDABLE says */
static unsigned sent[CHILDREN];
static bool kept;

static struct span span_last_part(struct span path)
{
    return span_from(path, (size_t)span_find_last(path, '/'));
}

/* ---- what the supervisor's other parts, and the kernel, would do ---- */

int __wrap_part_send(struct child *child);
int __wrap_folders_prepare(const struct conf *conf, const struct conf_ids users[]);
int __wrap_folders_prepare_mailboxes(const struct conf *conf, const struct conf *old,
                                     const struct conf_ids *user);
int __wrap_kill(pid_t pid, int signal_number);
void __wrap_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

int __wrap_part_send(struct child *child)
{
    sent[child->index]++;
    child->unsent = child->index == UNSENDABLE ? sending_error
                    : child->index == ENDING   ? -EPIPE
                                               : 0;
    child->untaken += child->unsent == 0;
    return child->unsent;
}

int __wrap_folders_prepare(const struct conf *conf, const struct conf_ids users[])
{
    assert_span(span_last_part(conf->spool), "/spool");
    return folders_error;
}

int __wrap_folders_prepare_mailboxes(const struct conf *conf, const struct conf *old,
                                     const struct conf_ids *user)
{
    assert_ptr_equal(old, &supervisor.conf);
    assert_ptr_equal(user, &supervisor.users[CONF_USER_MAILBOX]);
    return mailboxes_error;
}

int __wrap_kill(pid_t pid, int signal_number)
{
    assert_int_equal(signal_number, SIGKILL);
    assert_true(killed_count < ARRAY_SIZE(killed));
    killed[killed_count++] = pid;
    return 0;
}

void __wrap_log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(logged, sizeof(logged), format, args);
    va_end(args);
}

void readiness_look(struct supervisor *s)
{
}

/* ---- a place for it ---- */

static void on_lost(void *owner, struct ipc_channel *channel, int error)
{
}

static const struct ipc_role role = {.peer_name = "a child", .lost = on_lost};
static int far_ends[CHILDREN];

static void write_config_of(const char *spool, const char *more)
{
    FILE *file = fopen(config_file, "w");

    assert_non_null(file);
    fprintf(file,
            "hostname: mail.example\nspool: file:%s/%s\nledger: %s/ledger\n"
            "control: %s/control\ndrop: %s/drop\n%s",
            folder, spool, folder, folder, folder, more);
    assert_int_equal(fclose(file), 0);
}

static void write_config(const char *more)
{
    write_config_of("spool", more);
}

/* As the server has it from its start. */
static void load_first(void)
{
    struct conf_problems problems;

    write_config("");
    conf_problems_init(&problems);
    assert_int_equal(conf_load(config_file, &problems, &supervisor.conf), 0);
    conf_problems_done(&problems);
}

static int setup(void **state)
{
    log_open("test", LOG_LEVEL_ERROR + 1);
    place_make(folder, "/dev/shm");
    snprintf(config_file, sizeof(config_file), "%s/postbuch.yaml", folder);
    killed_count = 0;
    folders_error = mailboxes_error = 0;
    sending_error = -EMFILE;
    memset(sent, 0, sizeof(sent));
    supervisor = (struct supervisor){.config_file = config_file, .child_count = CHILDREN};
    assert_int_equal(io_loop_new(&supervisor.loop), 0);
    load_first();
    for (unsigned i = 0; i < CHILDREN; i++) {
        struct child *child = &supervisor.children[i];
        int fds[2];
        *child = (struct child){.supervisor = &supervisor,
                                .kind = &kinds[0],
                                .index = i,
                                .pid = 100 + (int)i,
                                .has_one = true,
                                .ready = true};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        assert_int_equal(ipc_channel_new(supervisor.loop, fds[0], &role, child, &child->channel),
                         0);
        far_ends[i] = fds[1];
    }
    return 0;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < CHILDREN; i++) {
        ipc_channel_free(supervisor.children[i].channel);
        close(far_ends[i]);
    }
    listeners_close(supervisor.listeners, NULL);
    for (size_t i = 0; i < IPC_PEER_COUNT; i++)
        buffer_done(&supervisor.seen[i]);
    conf_done(&supervisor.conf);
    io_loop_free(supervisor.loop);
    place_remove(folder);
    return 0;
}

static int reload_into(size_t limit)
{
    struct buffer text = BUFFER_LIMITED(limit);
    int r = generation_reload(&supervisor, &text, &kept);

    assert_true(text.size < sizeof(told));
    memcpy(told, text.data, text.size);
    told[text.size] = '\0';
    buffer_done(&text);
    return r;
}

static int reload(void)
{
    return reload_into(0);
}

/* For want of descriptors: to end it would cost what it does, and it couldn't be started either. */
static void who_can_not_be_told_goes_on(void **state)
{
    write_config("");
    assert_int_equal(reload(), 0);
    assert_int_equal(supervisor.generation, 1);
    assert_true(supervisor.children[UNSENDABLE].ready);
    assert_int_equal(supervisor.children[UNSENDABLE].untaken, 0);
    assert_int_equal(supervisor.children[UNSENDABLE].unsent, -EMFILE);
}

static void assert_sent(unsigned first, unsigned unsendable, unsigned last)
{
    assert_int_equal(sent[0], first);
    assert_int_equal(sent[UNSENDABLE], unsendable);
    assert_int_equal(sent[CHILDREN - 1], last);
}

/* Else a queue without memory would have nobody who listens on a new control socket until somebody
 * reloads, and nobody could by that socket. What is wrong in a file stays so. */
static void who_lacked_something_gets_it_again(void **state)
{
    struct child *first = &supervisor.children[0], *last = &supervisor.children[CHILDREN - 1];
    struct child *unsendable = &supervisor.children[UNSENDABLE];

    write_config("");
    assert_int_equal(reload(), 0);
    generation_round(&supervisor); /* nobody but one has said yet whether he has it */
    assert_sent(1, 2, 1);
    first->untaken = last->untaken = 0;
    first->kept = -ENOMEM;
    last->kept = -EINVAL;
    sending_error = 0;
    generation_round(&supervisor);
    assert_sent(2, 3, 1);
    assert_int_equal(unsendable->untaken, 1);
    generation_round(&supervisor); /* both are at it */
    assert_sent(2, 3, 1);
    first->untaken = unsendable->untaken = first->kept = 0;
    generation_round(&supervisor);
    assert_sent(2, 3, 1);
}

/* A directory for whose second table there is never room reads all its files in vain each time. */
static void who_lacks_memory_for_long_gets_it_ever_later(void **state)
{
    enum { HOUR = 3600000 / ROUND_MS, DAY = 24 * HOUR };
    struct child *first = &supervisor.children[0];
    unsigned resends = 0, last = 0, longest = 0;

    write_config("");
    assert_int_equal(reload(), 0);
    sent[0] = 0;
    for (unsigned round = 0; round < DAY; round++) {
        first->untaken = 0;
        first->kept = -ENOMEM;
        generation_round(&supervisor);
        if (sent[0] == resends)
            continue;
        if (round - last > longest)
            longest = round - last;
        resends = sent[0];
        last = round;
    }
    assert_in_range(resends, 24, 32);
    assert_int_equal(longest, HOUR);
    first->untaken = 0;
    assert_int_equal(reload(), 0); /* from the beginning */
    first->untaken = sent[0] = 0;
    generation_round(&supervisor);
    assert_int_equal(sent[0], 1);
}

static void write_users(const char *text)
{
    char path[sizeof(config_file)];

    snprintf(path, sizeof(path), "%s/users", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static const struct kind *kind_of(enum ipc_peer peer)
{
    for (size_t i = 0; i < kind_count; i++)
        if (kinds[i].peer == peer)
            return &kinds[i];
    fail();
    return NULL;
}

static void write_config_with_users(void)
{
    write_users("anna@a.example:*:\n");
    write_config("domains: { a.example: { deliver: maildir:mail/%u, users: users } }\n");
}

/* The first child of this kind, which then lacked memory for what was sent just now. */
static void resend_to(const struct kind *kind)
{
    struct child *first = &supervisor.children[0];

    first->kind = kind;
    first->untaken = 0;
    first->kept = -ENOMEM;
    first->resend_in = 0;
    logged[0] = '\0';
    sending_error = 0;
    generation_round(&supervisor);
}

/* Somebody is at work on it, as it seems; who has no users at all is better off with these. What
 * was finished in the same tick of the clock as the reload has not changed since. */
static void a_changed_file_waits_for_a_reload(void **state)
{
    const struct kind *directory = kind_of(IPC_PEER_DIRECTORY);
    struct child *first = &supervisor.children[0];

    write_config_with_users();
    assert_int_equal(reload(), 0);
    resend_to(directory);
    assert_int_equal(sent[0], 2);
    write_users("an");
    resend_to(directory);
    assert_int_equal(sent[0], 2);
    assert_non_null(strstr(logged, "a file of it has changed since the reload"));
    first->has_one = false;
    resend_to(directory);
    assert_int_equal(sent[0], 3);
    write_config_with_users();
    first->has_one = true;
    assert_int_equal(reload(), 0);
    resend_to(directory);
    assert_int_equal(sent[0], 5);
}

static int no_files(const struct conf *conf, struct arena *arena, struct conf_file **out,
                    size_t *out_count)
{
    return -ENOMEM;
}

/* Nothing is known of its files then. */
static void want_of_memory_is_no_changed_file(void **state)
{
    struct kind directory = *kind_of(IPC_PEER_DIRECTORY);

    write_config_with_users();
    assert_int_equal(reload(), 0);
    directory.files = no_files;
    resend_to(&directory);
    assert_int_equal(sent[0], 1);
    assert_non_null(strstr(logged, "isn't sent the new configuration again: Cannot allocate"));
    resend_to(kind_of(IPC_PEER_DIRECTORY));
    assert_int_equal(sent[0], 2);
}

/* A reload that changes nothing leaves the files of the one in force as they were seen. */
static void a_reload_that_fails_sees_no_files(void **state)
{
    write_config_with_users();
    assert_int_equal(reload(), 0);
    write_users("anna@a.example:*:\nbob");
    assert_int_equal(reload(), -EINVAL);
    resend_to(kind_of(IPC_PEER_DIRECTORY));
    assert_int_equal(sent[0], 1);
    assert_non_null(strstr(logged, "has changed"));
}

/* It hasn't taken the generation when it is killed, but when it was started with it. */
static void who_is_ending_is_killed_and_not_ready(void **state)
{
    write_config("");
    assert_int_equal(reload(), 0);
    assert_int_equal(killed_count, 1);
    assert_int_equal(killed[0], 100 + ENDING);
    for (unsigned i = 0; i < CHILDREN; i++)
        assert_int_equal(supervisor.children[i].ready, i != ENDING);
}

/* Whatever is started again gets it, too. */
static void what_needs_a_restart_stays(void **state)
{
    write_config("");
    assert_int_equal(reload(), 0);
    write_config_of("other", "");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(reload(), 0);
        assert_true(kept);
        assert_non_null(strstr(told, "postbuch.yaml:2:1: warning: `spool` can't be changed"));
        assert_span(span_last_part(supervisor.conf.spool), "/spool");
    }
    write_config("");
    assert_int_equal(reload(), 0);
    assert_false(kept);
    assert_null(strstr(told, "can't be changed"));
}

/* The answer of a reload has room for who hasn't taken it, and for every error. */
static void warnings_leave_room(void **state)
{
    enum { MANY = 199 };
    struct buffer more = BUFFER_INIT;

    buffer_printf(&more, "domains:\n");
    for (int i = 0; i < MANY; i++)
        buffer_printf(&more,
                      "  a-rather-long-name-of-a-domain-which-needs-room-%d.example: "
                      "{ deliver: maildir:/mail/%d/%%u }\n",
                      i, i);
    buffer_append_byte(&more, '\0');
    write_config(more.data);
    assert_int_equal(reload(), 0);
    assert_true(strlen(told) < 25000);
    assert_non_null(strstr(told, "more; postbuch check-config tells all\n"));
    more.size--;
    buffer_printf(&more, "nonsense: 1\n%c", '\0');
    write_config(more.data);
    assert_int_equal(reload(), -EINVAL);
    assert_non_null(strstr(told, "nonsense"));
    buffer_done(&more);
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);

    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* What there is no room for is counted, and said to be missing. */
static void errors_leave_room_for_their_number(void **state)
{
    enum { MANY = 190, ROOM = 20000 };
    struct buffer more = BUFFER_INIT;
    unsigned missing = 0, lines = 0;

    for (int i = 0; i < MANY; i++)
        buffer_printf(&more, "no_such_key_with_a_name_that_is_longer_than_others_%d: 1\n", i);
    buffer_append_byte(&more, '\0');
    write_config(more.data);
    buffer_done(&more);
    assert_int_equal(reload(), -EINVAL);
    assert_true(strlen(told) > ROOM);
    assert_null(strstr(told, " more; "));
    assert_int_equal(reload_into(ROOM), -EINVAL);
    assert_true(ends_with(told, " more; postbuch check-config tells all\n"));
    for (const char *at = told; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(sscanf(strstr(told, "\nand ") + 1, "and %u more", &missing), 1);
    assert_int_equal(missing + lines - 1, MANY);
}

static void the_log_tells_why_the_old_one_stays(void **state)
{
    write_config("no_such_thing: 1\n");
    assert_int_equal(reload(), -EINVAL);
    assert_non_null(strstr(logged, "has errors"));
    write_config("");
    folders_error = -ENOSPC;
    assert_int_equal(reload(), -EINVAL);
    assert_non_null(strstr(logged, "No space left on device"));
    assert_null(strstr(logged, "has errors"));
    assert_int_equal(unlink(config_file), 0);
    assert_int_equal(reload(), -EINVAL);
    assert_non_null(strstr(logged, "No such file"));
}

/* One that comes late holds up nobody; in what is new it is a mistake. */
static void a_folder_of_mailboxes_that_is_not_there(void **state)
{
    write_config("users: { queue: daemon, network: nobody, directory: games, mailbox: mail }\n");
    mailboxes_error = -EROFS;
    generation_first(&supervisor);
    assert_int_equal(supervisor.generation, 1);
    assert_int_equal(reload(), -EINVAL);
    assert_non_null(strstr(told, "Read-only file system"));
    assert_int_equal(supervisor.generation, 1);
}

static void a_file_that_is_gone(void **state)
{
    write_config("");
    assert_int_equal(reload(), 0);
    assert_int_equal(unlink(config_file), 0);
    assert_int_equal(reload(), -EINVAL);
    assert_non_null(strstr(told, "No such file"));
    assert_int_equal(supervisor.generation, 1);
    assert_span(supervisor.conf.hostname, "mail.example");
}

static void a_configuration_with_errors_is_sent_to_nobody(void **state)
{
    write_config("no_such_thing: 1\n");
    assert_int_equal(reload(), -EINVAL);
    assert_int_equal(supervisor.generation, 0);
    assert_int_equal(killed_count, 0);
    for (unsigned i = 0; i < CHILDREN; i++)
        assert_true(supervisor.children[i].ready && !supervisor.children[i].untaken);
}

/* The resolver that works keeps the anchor that it has. */
static void an_anchor_that_can_not_be_read_is_an_error(void **state)
{
    write_config("resolver: { trust_anchor: anchor }\n");
    assert_int_equal(reload(), -EINVAL);
    assert_non_null(strstr(told, "/anchor: error: can't be read"));
    assert_int_equal(supervisor.generation, 0);
    for (unsigned i = 0; i < CHILDREN; i++)
        assert_false(supervisor.children[i].untaken);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_can_not_be_told_goes_on),
        TEST(who_lacked_something_gets_it_again),
        TEST(who_lacks_memory_for_long_gets_it_ever_later),
        TEST(a_changed_file_waits_for_a_reload),
        TEST(want_of_memory_is_no_changed_file),
        TEST(a_reload_that_fails_sees_no_files),
        TEST(who_is_ending_is_killed_and_not_ready),
        TEST(what_needs_a_restart_stays),
        TEST(warnings_leave_room),
        TEST(errors_leave_room_for_their_number),
        TEST(the_log_tells_why_the_old_one_stays),
        TEST(a_folder_of_mailboxes_that_is_not_there),
        TEST(a_file_that_is_gone),
        TEST(a_configuration_with_errors_is_sent_to_nobody),
        TEST(an_anchor_that_can_not_be_read_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
