/*
 * Makes the table from the files: users first, then aliases, which may be users too (a copy to
 * oneself); then the roles that must exist; then each target is told whom it means. Only when all
 * names are known can circles and dead ends be looked for (check.c).
 *
 * Errors are gathered, and a table with errors is thrown away as a whole: an alias that was dropped
 * for an error would be a black hole.
 */
#include "people/internal.h"

#include "people/aliases.h"
#include "people/lines.h"
#include "people/users.h"
#include <errno.h>
#include <stdlib.h>

struct builder {
    struct people *people;
    const struct conf_directory *part;
    const struct people_file *files;
    size_t file_count;
    struct conf_problems *problems;
    struct span file; /* name, in the table's arena */
    /* The domains that name it: to look at all of them for each line would take seconds. */
    uint32_t *file_domains;
    size_t file_domain_count;
    uint32_t *current; /* the alias at hand, in each domain that has it */
    size_t current_count;
    bool full_reported;
    int error; /* sticky: -ENOMEM */
};

static void no_memory(struct builder *b)
{
    b->error = -ENOMEM;
}

static struct span copy(struct builder *b, struct span s)
{
    struct span c = arena_copy(&b->people->arena, s);

    if (!c.data)
        no_memory(b);
    return c;
}

static struct span file_text(const struct builder *b, struct span name)
{
    for (size_t i = 0; i < b->file_count; i++)
        if (span_equal(b->files[i].name, name))
            return b->files[i].text;
    return SPAN("");
}

/* local@domain in canonical form, in the arena. */
static struct span write_address(struct builder *b, const struct address *a, struct span domain)
{
    char text[ADDRESS_TEXT_MAX];
    size_t size = a->local_size + 1u + domain.size;

    if (size > sizeof(text)) /* the parser has bounded both */
        return SPAN("");
    memcpy(text, a->text, a->local_size);
    text[a->local_size] = '@';
    memcpy(text + a->local_size + 1, domain.data, domain.size);
    return copy(b, span_of(text, size));
}

/* A new person, or 0. */
static uint32_t add_person(struct builder *b, const struct address *a, uint32_t domain,
                           struct conf_place place)
{
    struct people *p = b->people;
    uint32_t handle;

    if (p->persons.count == PEOPLE_MAX) {
        if (!b->full_reported)
            conf_error(b->problems, place, "more than %d users and aliases; drop some", PEOPLE_MAX);
        b->full_reported = true;
        return 0;
    }
    handle = slab_alloc(&p->persons);
    if (handle == 0) {
        no_memory(b);
        return 0;
    }
    struct person *person = people_person(p, handle);
    person->local = copy(b, address_raw_local(a));
    person->address = write_address(b, a, p->domains[domain]);
    person->domain = domain;
    person->place = place;
    if (b->error == 0 && people_insert(p, handle) < 0)
        no_memory(b);
    return b->error ? 0 : handle;
}

/* ---- users ---- */

/* Warned of, not refused, when the domain isn't this file's: one file may serve several servers,
 * each of which delivers some of its domains. A user listed twice is refused, since nobody knows
 * which of the two passwords is meant. */
static void add_user(struct builder *b, const struct users_line *line, struct conf_place place)
{
    struct people *p = b->people;
    uint32_t domain = people_domain(p, address_domain(&line->address));

    if (domain == 0 || !span_equal(b->part->domains[domain - 1].users, b->file)) {
        conf_warn(b->problems, place, "`%.*s` receives nothing: %s; mend the address or `domains:`",
                  SPAN_ARG(address_text(&line->address)),
                  domain ? "its domain names another `users:` file"
                         : "its domain is not delivered here");
        return;
    }
    uint32_t known = people_lookup(p, address_raw_local(&line->address), domain - 1);
    if (known) {
        conf_error(b->problems, place, "`%.*s` is listed twice, first in line %u; keep one",
                   SPAN_ARG(address_text(&line->address)), people_person(p, known)->place.line);
        return;
    }
    uint32_t handle = add_person(b, &line->address, domain - 1, place);
    if (handle == 0)
        return;
    people_person(p, handle)->user = true;
    p->user_count++;
    if (p->first_user[domain - 1] == 0)
        p->first_user[domain - 1] = handle;
}

/* No byte at all is what a power cut or a full disk leaves of a file that was being written. No
 * error, since other domains and the aliases are good without it; but who isn't known in its
 * domains may have been in it, and must not be refused for good. */
static void doubt_file(struct builder *b)
{
    for (size_t i = 0; i < b->file_domain_count; i++)
        b->people->unsure[b->file_domains[i]] = true;
    b->people->unsure_count += b->file_domain_count;
    conf_warn(
        b->problems, (struct conf_place){b->file, 0, 0},
        "the file is empty, as after a power cut or on a full disk; names of its domains that "
        "aren't known are deferred until it has a line or a comment");
}

static void read_users(struct builder *b, struct span text)
{
    struct lines lines = {.rest = text};
    struct span line;

    if (text.size == 0)
        doubt_file(b);
    while (b->error == 0 && lines_next(&lines, &line)) {
        struct conf_place place = {b->file, lines.number, 1};
        struct users_line user;
        const char *why;
        size_t at;
        int r = users_line_parse(line, &user, &why, &at);
        if (r == 0) {
            add_user(b, &user, place);
        } else if (r < 0) {
            place.column += (uint32_t)at;
            conf_error(b->problems, place, "%s", why);
        }
    }
}

/* ---- aliases ---- */

/* A user of the same name stays a user: the alias decides where mail goes, and may name him as one
 * of its targets. Its place becomes the alias's, since that is where a fault will have to be
 * mended. */
static void begin_alias(struct builder *b, const struct address *name, uint32_t domain,
                        struct conf_place place)
{
    struct people *p = b->people;
    uint32_t handle = people_lookup(p, address_raw_local(name), domain);

    if (handle && people_person(p, handle)->targets) {
        conf_error(b->problems, place, "the alias `%.*s` is set twice, first in line %u; join them",
                   SPAN_ARG(address_text(name)), people_person(p, handle)->place.line);
        return;
    }
    if (handle == 0)
        handle = add_person(b, name, domain, place);
    if (handle == 0)
        return;
    people_person(p, handle)->place = place;
    p->alias_count++;
    b->current[b->current_count++] = handle;
}

static bool uses_aliases(const struct builder *b, size_t domain)
{
    return span_equal(b->part->domains[domain].aliases, b->file);
}

/* A bare name stands for that name in each domain that uses the file, so one line may begin several
 * aliases; `current` holds them until the next name. */
static void on_name(void *owner, const struct address *name, struct conf_place place)
{
    struct builder *b = owner;
    struct span domain = address_domain(name);
    uint32_t index = domain.size ? people_domain(b->people, domain) : 0;

    b->current_count = 0;
    if (domain.size && (index == 0 || !uses_aliases(b, index - 1))) {
        conf_warn(b->problems, place, "`%.*s` receives nothing: %s; mend the address or `domains:`",
                  SPAN_ARG(address_text(name)),
                  index ? "its domain names another `aliases:` file"
                        : "its domain is not delivered here");
        return;
    }
    if (domain.size)
        begin_alias(b, name, index - 1, place);
    size_t count = domain.size ? 0 : b->file_domain_count;
    for (size_t i = 0; i < count && b->error == 0 && !b->full_reported; i++)
        begin_alias(b, name, b->file_domains[i], place);
}

/* A target without a domain is of the alias's own one. The order of the file is kept: it is the
 * order of delivery and of what people are shown. */
static void add_target(struct builder *b, uint32_t handle, const struct address *a, bool direct,
                       struct conf_place place)
{
    struct people *p = b->people;
    struct person *person = people_person(p, handle);
    struct span domain = address_domain(a);
    struct people_target *target = arena_alloc(&p->arena, sizeof(*target));

    if (!target) {
        no_memory(b);
        return;
    }
    target->address = write_address(b, a, domain.size ? domain : p->domains[person->domain]);
    target->place = place;
    target->direct = direct;
    if (person->last_target)
        person->last_target->next = target;
    else
        person->targets = target;
    person->last_target = target;
}

static void on_target(void *owner, const struct address *a, bool direct, struct conf_place place)
{
    struct builder *b = owner;

    for (size_t i = 0; i < b->current_count && b->error == 0; i++)
        add_target(b, b->current[i], a, direct, place);
}

/* ---- postmaster and abuse: they always exist (RFC 5321 4.5.1, RFC 2142) ---- */

/* Who gets the mail of a role that nobody has: the configured postmaster, or the domain's first
 * user, or the first user of any domain; "" when there is nobody at all, or when it would be a
 * stranger's while the domain's own users are in doubt. */
static struct span stand_in(const struct builder *b, size_t domain)
{
    const struct people *p = b->people;

    if (b->part->postmaster.size)
        return b->part->postmaster;
    if (p->first_user[domain])
        return people_person(p, p->first_user[domain])->address;
    for (size_t i = 0; i < p->domain_count && !p->unsure[domain]; i++)
        if (p->first_user[i])
            return people_person(p, p->first_user[i])->address;
    return SPAN("");
}

/* The file to which messages about a whole domain belong. */
static struct span file_of(const struct conf_directory_domain *d)
{
    if (d->users.size)
        return d->users;
    return d->aliases.size ? d->aliases : d->name;
}

/* Never on top of a name that is there. With neither a postmaster configured nor a single user it
 * can't be done, and such a server has nobody who could read it. */
static void ensure_role(struct builder *b, struct span role, size_t domain)
{
    struct conf_place place = {file_of(&b->part->domains[domain]), 0, 0};
    struct span to = stand_in(b, domain);
    struct address name, target;
    char text[16 + ADDRESS_DOMAIN_MAX];

    if (people_lookup(b->people, role, (uint32_t)domain) || to.size == 0)
        return;
    memcpy(text, role.data, role.size);
    text[role.size] = '@';
    struct span own = b->people->domains[domain];
    if (own.size > ADDRESS_DOMAIN_MAX)
        return;
    memcpy(text + role.size + 1, own.data, own.size);
    if (address_parse(span_of(text, role.size + 1 + own.size), 0, &name) != ADDRESS_OK ||
        address_parse(to, ADDRESS_ALLOW_UTF8, &target) != ADDRESS_OK)
        return;
    if (b->part->postmaster.size == 0)
        conf_warn(b->problems, place,
                  "`%.*s` is nobody's, so `%.*s` gets its mail; set `postmaster:` or add an alias",
                  SPAN_ARG(address_text(&name)), SPAN_ARG(to));
    b->current_count = 0;
    begin_alias(b, &name, (uint32_t)domain, place);
    if (b->part->postmaster.size)
        place = b->part->postmaster_place;
    on_target(b, &target, false, place);
}

/* ---- the whole ---- */

static int add_domains(struct builder *b)
{
    struct people *p = b->people;
    size_t count = b->part->domain_count, at_least = count ? count : 1;

    p->domains = arena_alloc_array(&p->arena, at_least, sizeof(*p->domains));
    p->first_user = arena_alloc_array(&p->arena, at_least, sizeof(*p->first_user));
    p->unsure = arena_alloc_array(&p->arena, at_least, sizeof(*p->unsure));
    b->file_domains = arena_alloc_array(&p->arena, at_least, sizeof(*b->file_domains));
    b->current = arena_alloc_array(&p->arena, at_least, sizeof(*b->current));
    if (!p->domains || !p->first_user || !p->unsure || !b->file_domains || !b->current)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct span name = b->part->domains[i].name;
        if (people_domain(p, name))
            return -EINVAL;
        p->domains[p->domain_count++] = copy(b, name);
        if (b->error || people_insert_domain(p, (uint32_t)p->domain_count) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* RFC 5321 4.1.1.3: "RCPT TO:<Postmaster>" has no domain, and must be taken all the same. */
static void choose_postmaster_domain(struct builder *b)
{
    struct span local, domain;

    address_split(b->part->postmaster, &local, &domain);
    uint32_t index = people_domain(b->people, domain);
    if (index == 0)
        index = b->people->domain_count ? 1 : 0;
    b->people->postmaster_domain = index ? b->people->domains[index - 1] : SPAN("");
}

static void find_domains(struct builder *b, struct span file, bool aliases)
{
    b->file_domain_count = 0;
    for (size_t i = 0; i < b->part->domain_count; i++)
        if (span_equal(aliases ? b->part->domains[i].aliases : b->part->domains[i].users, file))
            b->file_domains[b->file_domain_count++] = (uint32_t)i;
}

static void read_files(struct builder *b, bool aliases)
{
    const struct aliases_sink sink = {b, on_name, on_target};

    for (size_t i = 0; i < b->part->file_count && b->error == 0; i++) {
        struct span name = b->part->files[i].name;
        find_domains(b, name, aliases);
        if (!b->file_domain_count)
            continue;
        b->file = copy(b, name);
        if (aliases)
            aliases_read(file_text(b, name), b->file, b->problems, &sink);
        else
            read_users(b, file_text(b, name));
    }
}

/* Tells every target whom it means. After all names are known, since an alias may name one that a
 * later line, or another file, defines. Kept as handles: a look-up for each message would do the
 * same work again and again. */
static void resolve_targets(struct people *p)
{
    for (uint32_t handle = 1; handle < p->persons.next_fresh; handle++)
        for (struct people_target *t = people_person(p, handle)->targets; t; t = t->next) {
            struct address a;
            if (address_parse(t->address, ADDRESS_ALLOW_UTF8, &a) != ADDRESS_OK)
                continue;
            uint32_t domain = people_domain(p, address_domain(&a));
            t->foreign = domain == 0;
            if (domain == 0)
                continue;
            t->person = people_resolve(p, address_raw_local(&a), domain - 1);
            t->unsure = p->unsure[domain - 1];
        }
}

static int build(struct builder *b)
{
    size_t errors = b->problems->error_count;
    int r = add_domains(b);

    if (r < 0)
        return r;
    choose_postmaster_domain(b);
    read_files(b, false);
    read_files(b, true);
    for (size_t i = 0; i < b->part->domain_count && b->error == 0; i++) {
        ensure_role(b, SPAN("postmaster"), i);
        ensure_role(b, SPAN("abuse"), i);
    }
    if (b->error)
        return b->error;
    resolve_targets(b->people);
    /* What an error dropped would look like a black hole. */
    if (b->problems->error_count > errors)
        return -EINVAL;
    people_check(b->people, b->problems);
    return 0;
}

int people_new(const struct conf_directory *part, const struct people_file *files,
               size_t file_count, struct conf_problems *problems, struct people **out)
{
    struct people *p = calloc(1, sizeof(*p));
    struct builder b = {
        .people = p, .part = part, .files = files, .file_count = file_count, .problems = problems};

    if (!p)
        return -ENOMEM;
    slab_init(&p->persons, sizeof(struct person));
    int r = build(&b);
    if (r < 0) {
        people_free(p);
        return r;
    }
    *out = p;
    return 0;
}
