/* The folders that are made before any process is started. */
#include "../../unit.h"

#include "../../../place.h"
#include "conf/template.h"
#include "proc/supervisor/supervisor.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static char folder[PLACE_BYTES];
static unsigned errors, parsed;

void __wrap_log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
int __real_conf_template_parse(struct span text, struct conf_template *out, const char **out_why);
int __wrap_conf_template_parse(struct span text, struct conf_template *out, const char **out_why);

void __wrap_log_error(const char *format, ...)
{
    errors++;
}

int __wrap_conf_template_parse(struct span text, struct conf_template *out, const char **out_why)
{
    parsed++;
    return __real_conf_template_parse(text, out, out_why);
}

int generation_reload(struct supervisor *s, struct buffer *out_text, bool *out_kept)
{
    return 0;
}

void readiness_look(struct supervisor *s)
{
}

static int setup(void **state)
{
    errors = parsed = 0;
    place_make(folder, "/dev/shm");
    return 0;
}

static int teardown(void **state)
{
    place_remove(folder);
    return 0;
}

static bool is_there(const char *name)
{
    char path[PLACE_BYTES + 64];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static struct span below(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%s", folder, name);
    return span_from_cstr(out);
}

/* What the mailbox process opens, and nothing below it. */
static void mailboxes(void **state)
{
    static const struct {
        const char *template, *made, *not_made;
    } cases[] = {
        {"mail/%d/%u", "mail", "mail/%d"},
        {"of/100%%/mail/%u", "of/100%/mail", "of/100%%"},
        {"home/of-%u/Maildir", "home", "home/of-%u"},
        {"one/for/all", "one/for", "one/for/all"},
    };
    const struct conf_ids nobody = {UINT32_MAX, UINT32_MAX};
    const struct conf_ids users[CONF_USER_COUNT] = {nobody, nobody, nobody, nobody};
    char spool[PLACE_BYTES + 64], ledger[PLACE_BYTES + 64], control[PLACE_BYTES + 64],
        drop[PLACE_BYTES + 64], template[PLACE_BYTES + 64];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct conf_domain domain = {.template =
                                         below(template, sizeof(template), cases[i].template)};
        struct conf conf = {.spool = below(spool, sizeof(spool), "spool"),
                            .ledger = below(ledger, sizeof(ledger), "ledger"),
                            .control = below(control, sizeof(control), "run/control"),
                            .drop = below(drop, sizeof(drop), "drop"),
                            .domains = &domain,
                            .domain_count = 1};
        assert_int_equal(folders_prepare(&conf, users), 0);
        assert_int_equal(folders_prepare_mailboxes(&conf, &(struct conf){0}, &nobody), 0);
        assert_true(is_there("spool") && is_there("ledger") && is_there("run"));
        assert_true(is_there("drop") && is_there(cases[i].made));
        assert_false(is_there("run/control") || is_there(cases[i].not_made));
    }
}

static void put_a_file_in_the_way(void)
{
    char path[PLACE_BYTES + 64];

    below(path, sizeof(path), "file");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
}

/* Others' are made all the same. One that the configuration in force has, too, for whatever domain,
 * keeps no other from coming into force. */
static void a_folder_that_can_not_be_made(void **state)
{
    char missing[PLACE_BYTES + 64], fine[PLACE_BYTES + 64], same[PLACE_BYTES + 64],
        other[PLACE_BYTES + 64];
    const struct conf_ids nobody = {UINT32_MAX, UINT32_MAX};
    struct conf_domain old_domains[] = {
        {.template = below(other, sizeof(other), "file/mail/box/%u")},
        {.template = below(same, sizeof(same), "file//mail/%d/%u")},
    };
    struct conf old = {.domains = old_domains, .domain_count = ARRAY_SIZE(old_domains)};
    struct conf_domain domains[] = {
        {.template = below(missing, sizeof(missing), "file/mail/%u")},
        {.template = below(fine, sizeof(fine), "mail/%u")},
    };
    struct conf conf = {.domains = domains, .domain_count = ARRAY_SIZE(domains)};

    put_a_file_in_the_way();
    assert_int_equal(folders_prepare_mailboxes(&conf, &(struct conf){0}, &nobody), -ENOTDIR);
    assert_true(is_there("mail"));
    assert_int_equal(folders_prepare_mailboxes(&conf, &old, &nobody), 0);
    old.domain_count--;
    assert_int_equal(folders_prepare_mailboxes(&conf, &old, &nobody), -ENOTDIR);
}

/* A disk that is away costs a line of the log for each of its folders, not for each domain, and no
 * look through all old domains for each new one. */
static void each_folder_of_many_domains_is_tried_once(void **state)
{
    enum { MANY = 400, FOLDERS = 4 };
    static char templates[MANY][PLACE_BYTES + 64];
    static struct conf_domain domains[MANY];
    const struct conf_ids nobody = {UINT32_MAX, UINT32_MAX};
    struct conf conf = {.domains = domains, .domain_count = MANY};
    char name[32];

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "file/%u/%%d/%%u", i % FOLDERS);
        domains[i].template = below(templates[i], sizeof(templates[i]), name);
    }
    put_a_file_in_the_way();
    assert_int_equal(folders_prepare_mailboxes(&conf, &conf, &nobody), 0);
    assert_int_equal(errors, FOLDERS);
    assert_in_range(parsed, MANY, 2 * MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mailboxes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_can_not_be_made, setup, teardown),
        cmocka_unit_test_setup_teardown(each_folder_of_many_domains_is_tried_once, setup,
                                        teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
