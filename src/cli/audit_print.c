#include "cli/audit_print.h"

#include "base/clock.h"
#include "cli/cli.h"

/* ---- what is found ---- */

void audit_print_end_progress(struct audit_print *s)
{
    if (s->progress_shown)
        fprintf(stderr, "\r\x1b[K");
    s->progress_shown = false;
}

void audit_print_progress(void *arg, const char *file, uint64_t done, uint64_t total)
{
    struct audit_print *s = arg;

    fprintf(stderr, "\r\x1b[K%s: %llu of %llu", file, (unsigned long long)done,
            (unsigned long long)total);
    s->progress_shown = true;
}

void audit_print_waiting(struct audit_print *s, const char *what)
{
    fprintf(stderr, "\r\x1b[Kwaiting for %s", what);
    s->progress_shown = true;
}

static json_t *acknowledged_json(const struct audit_acknowledged *by)
{
    json_t *object = json_pack("{s:o,s:o}", "time", cli_json_time(by->time_us), "reason",
                               by->reason.data ? cli_json_text(by->reason) : json_null());

    if (by->uid != EVENT_NO_ACTOR)
        json_object_set_new(object, "uid", json_integer(by->uid));
    return object;
}

static void add_json_finding(struct audit_print *s, const struct audit_finding *f, const char *id)
{
    json_t *object = json_pack("{s:s,s:s,s:s}", "kind", audit_kind_name(f->kind), "file", f->file,
                               "text", f->text);
    char token[ID_TEXT + 1];

    if (!id_is_zero(&f->id))
        json_object_set_new(object, "id", json_string(id));
    if (f->recipient_index != EVENT_NO_RECIPIENT)
        json_object_set_new(object, "recipient", json_integer(f->recipient_index));
    if (!id_is_zero(&f->token)) {
        id_format(&f->token, token);
        json_object_set_new(object, "token", json_string(token));
    }
    if (f->acknowledged)
        json_object_set_new(object, "acknowledged", acknowledged_json(f->acknowledged));
    json_array_append_new(f->acknowledged ? s->acknowledged : s->findings, object);
}

static void print_acknowledged(const struct audit_acknowledged *by)
{
    char when[CLOCK_RFC3339_SIZE];

    clock_format_local(by->time_us, when);
    printf("; acknowledged %s", when);
    if (by->uid != EVENT_NO_ACTOR)
        printf(" by uid %u", by->uid);
    printf(": ");
    cli_put(stdout, by->reason.data ? by->reason : SPAN("(erased)"));
}

void audit_print_finding(void *arg, const struct audit_finding *f)
{
    struct audit_print *s = arg;
    const struct cli_style *style = cli_style(stdout);
    char id[ID_TEXT + 1];

    id_format(&f->id, id);
    if (s->json) {
        add_json_finding(s, f, id);
        return;
    }
    audit_print_end_progress(s);
    printf("%s%s%s",
           f->acknowledged          ? style->dim
           : f->kind == AUDIT_ALARM ? style->yellow
                                    : style->red,
           audit_kind_name(f->kind), style->reset);
    if (f->file[0])
        printf(" %s", f->file);
    if (!id_is_zero(&f->id))
        printf(" %s", id);
    if (f->recipient_index != EVENT_NO_RECIPIENT)
        printf(" recipient %u", f->recipient_index);
    printf(": %s", f->text);
    if (f->acknowledged)
        print_acknowledged(f->acknowledged);
    else if (!id_is_zero(&f->token)) {
        id_format(&f->token, id);
        printf(" %s[%s]%s", style->dim, id, style->reset);
    }
    putchar('\n');
}

/* ---- the result ---- */

static void print_number(const char *name, uint64_t number)
{
    printf("  %-10s %12llu\n", name, (unsigned long long)number);
}

static void print_queue(const struct audit_print *s, const struct audit_counts *c)
{
    const struct cli_style *style = cli_style(stdout);

    if (!c->queue_compared) {
        printf("%sThe queue was not compared: %s.%s\n", s->is_bad ? style->red : "",
               s->not_compared, s->is_bad ? style->reset : "");
        if (c->late_unexplained)
            printf("%llu recipients have missed the next attempt that the book knows of; only the "
                   "queue knows why.\n",
                   (unsigned long long)c->late_unexplained);
        return;
    }
    printf("The queue has %llu recipients waiting%s.\n", (unsigned long long)c->queue_waiting,
           c->queue_stopped ? ", by the spool of the stopped server" : "");
    if (c->unfolded)
        printf("%llu records of the log are not booked yet: they count as if they were.\n",
               (unsigned long long)c->unfolded);
}

static void print_checkpoint(const struct audit_checkpoint *v, const struct audit_counts *c)
{
    char when[CLOCK_RFC3339_SIZE];

    if (!v->verify)
        return;
    clock_format_local(v->expected.time_us, when);
    printf("Of the %zu chains of %s's checkpoint of %s, %llu are as they were", v->expected.count,
           v->expected.host, when, (unsigned long long)c->marks_found);
    if (c->marks_gone)
        printf(", %llu have been deleted with their week", (unsigned long long)c->marks_gone);
    if (c->marks_skipped)
        printf(", %llu are older than --since", (unsigned long long)c->marks_skipped);
    printf("; %s.\n", v->signature_holds ? "its signature holds"
                      : v->is_signed     ? "its signature was not checked (--public-key)"
                                         : "nobody signed it");
}

static json_t *checkpoint_json(const struct audit_checkpoint *v, const struct audit_counts *c)
{
    if (!v->verify)
        return json_null();
    return json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:s}", "time",
                     cli_json_time(v->expected.time_us), "host", v->expected.host, "chains",
                     (json_int_t)v->expected.count, "found", (json_int_t)c->marks_found, "deleted",
                     (json_int_t)c->marks_gone, "skipped", (json_int_t)c->marks_skipped,
                     "signature",
                     v->signature_holds ? "holds"
                     : v->is_signed     ? "not checked"
                                        : "none");
}

static void print_text(const struct audit_print *s, const struct audit_counts *c)
{
    const struct cli_style *style = cli_style(stdout);
    uint64_t sum = 0;

    printf("Accepted recipients: %llu, of %llu messages\n", (unsigned long long)c->accepted,
           (unsigned long long)c->messages);
    for (unsigned state = RECIPIENT_DELIVERED; state < RECIPIENT_STATE_COUNT; state++) {
        bool is_rare = state == RECIPIENT_CLOSED || state == RECIPIENT_LOST;
        if (!is_rare || c->states[state]) /* only a ledger made anew, or after damage, has such */
            print_number(recipient_state_name(state), c->states[state]);
        sum += c->states[state];
    }
    print_number(recipient_state_name(RECIPIENT_WAITING), c->states[RECIPIENT_WAITING]);
    sum += c->states[RECIPIENT_WAITING];
    if (c->held)
        printf("  (of those waiting, %llu are held)\n", (unsigned long long)c->held);
    print_number("together", sum);
    printf(
        "Checked %llu events and %llu refusals in %llu files%s.\n", (unsigned long long)c->events,
        (unsigned long long)c->refusals, (unsigned long long)c->files,
        c->broken ? "; what isn't as it was is named above" : ", each in its place in the chain");
    if (c->alarms)
        printf("%s%llu alarms are booked: postbuch audit --alarms tells them.%s\n", style->yellow,
               (unsigned long long)c->alarms, style->reset);
    if (c->acknowledged)
        printf(c->acknowledged == 1 ? "%llu thing that was off is acknowledged%s.\n"
                                    : "%llu things that were off are acknowledged%s.\n",
               (unsigned long long)c->acknowledged,
               s->tells_acknowledged ? "" : ": postbuch audit --acknowledged tells them");
    if (c->remade)
        printf("%llu outcomes or entries have their origin only in a ledger or file of before.\n",
               (unsigned long long)c->remade);
    print_queue(s, c);
    print_checkpoint(s->checkpoint, c);
    if (c->findings)
        printf(c->findings == 1 ? "%s%llu thing is off.%s\n" : "%s%llu things are off.%s\n",
               style->red, (unsigned long long)c->findings, style->reset);
    else if (s->is_bad)
        printf("%sWhat is booked balances.%s\n", style->red, style->reset);
    else
        printf("%sThe book balances.%s\n", style->green, style->reset);
}

static void print_json(struct audit_print *s, const struct audit_counts *c)
{
    json_t *object = json_pack("{s:b,s:I}", "ok", c->findings == 0 && !s->is_bad, "accepted",
                               (json_int_t)c->accepted);

    for (unsigned state = 1; state < RECIPIENT_STATE_COUNT; state++)
        json_object_set_new(object, recipient_state_name(state),
                            json_integer((json_int_t)c->states[state]));
    json_object_set_new(object, "held", json_integer((json_int_t)c->held));
    json_object_set_new(object, "messages", json_integer((json_int_t)c->messages));
    json_object_set_new(object, "events", json_integer((json_int_t)c->events));
    json_object_set_new(object, "refusals", json_integer((json_int_t)c->refusals));
    json_object_set_new(object, "files", json_integer((json_int_t)c->files));
    json_object_set_new(object, "alarms", json_integer((json_int_t)c->alarms));
    json_object_set_new(object, "remade", json_integer((json_int_t)c->remade));
    json_object_set_new(object, "queue_compared", json_boolean(c->queue_compared));
    json_object_set_new(object, "queue_waiting",
                        c->queue_compared ? json_integer((json_int_t)c->queue_waiting)
                                          : json_null());
    json_object_set_new(object, "queue_stopped", json_boolean(c->queue_stopped));
    json_object_set_new(object, "late_unexplained", json_integer((json_int_t)c->late_unexplained));
    json_object_set_new(object, "unfolded", json_integer((json_int_t)c->unfolded));
    json_object_set_new(object, "checkpoint", checkpoint_json(s->checkpoint, c));
    json_object_set_new(object, "acknowledged", json_integer((json_int_t)c->acknowledged));
    json_object_set(object, "findings", s->findings);
    if (s->tells_acknowledged)
        json_object_set(object, "acknowledged_findings", s->acknowledged);
    json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    printf("\n");
    json_decref(object);
}

void audit_print_result(struct audit_print *print, const struct audit_counts *counts)
{
    if (print->json)
        print_json(print, counts);
    else
        print_text(print, counts);
}

void audit_print_acknowledged(struct audit_print *s, uint64_t count, bool ok)
{
    json_t *object = json_pack("{s:b,s:I,s:O}", "ok", ok, "acknowledged", (json_int_t)count,
                               "findings", s->findings);

    cli_json_print(object, 0);
    printf("\n");
}

void audit_print_done(struct audit_print *print)
{
    json_decref(print->findings);
    json_decref(print->acknowledged);
    *print = (struct audit_print){0};
}
