#include "../../unit.h"

#include "proc/common/ticket.h"
#include <errno.h>

static const uint8_t key[TICKET_KEY_BYTES] = "a key", other_key[TICKET_KEY_BYTES] = "another";
static const uint8_t ip[16] = {1, 2, 3}, other_ip[16] = {1, 2, 4};

static const struct ticket_facts facts = {.ip = ip,
                                          .uid = 7,
                                          .sender = {"anna@a.test", 11},
                                          .address = {"bob@b.test", 10},
                                          .expands = false};

struct pair {
    struct ticket_office office;
    struct ticket_gate gate;
};

static struct pair open_pair(void)
{
    struct pair p = {0};

    assert_int_equal(ticket_prepare(), 0);
    assert_int_equal(ticket_office_open(&p.office, key), 0);
    assert_int_equal(ticket_gate_open(&p.gate, key), 0);
    return p;
}

static void close_pair(struct pair *p)
{
    ticket_office_done(&p->office);
    ticket_gate_done(&p->gate);
}

static int take(struct pair *p, const struct ticket_facts *says, const uint8_t *ticket)
{
    return ticket_take(&p->gate, says, span_of((const char *)ticket, TICKET_BYTES));
}

static void a_ticket_is_good_once(void **state)
{
    struct pair p = open_pair();
    uint8_t first[TICKET_BYTES], second[TICKET_BYTES];

    ticket_issue(&p.office, &facts, first);
    ticket_issue(&p.office, &facts, second);
    assert_int_equal(take(&p, &facts, second), 0);
    assert_int_equal(take(&p, &facts, first), 0); /* in any order */
    assert_int_equal(take(&p, &facts, first), -EALREADY);
    assert_int_equal(take(&p, &facts, second), -EALREADY);
    close_pair(&p);
}

static void it_says_only_what_was_allowed(void **state)
{
    struct ticket_facts lies[] = {facts, facts, facts, facts, facts, facts};
    struct pair p = open_pair();
    uint8_t ticket[TICKET_BYTES];

    lies[0].ip = other_ip;
    lies[1].uid = 0;
    lies[2].sender = SPAN("eve@a.test");
    lies[3].address = SPAN("all@b.test");
    lies[4].expands = true;
    /* The same bytes, cut elsewhere. */
    lies[5].sender = SPAN("anna@a.testb");
    lies[5].address = SPAN("ob@b.test");
    ticket_issue(&p.office, &facts, ticket);
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++)
        if (take(&p, &lies[i], ticket) != -EBADMSG)
            fail_msg("lie %zu was believed", i);
    assert_int_equal(take(&p, &facts, ticket), 0);
    close_pair(&p);
}

static void no_bit_of_it_can_be_changed(void **state)
{
    struct pair p = open_pair();
    uint8_t ticket[TICKET_BYTES];

    ticket_issue(&p.office, &facts, ticket);
    for (size_t bit = 0; bit < 8 * TICKET_BYTES; bit++) {
        ticket[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(take(&p, &facts, ticket), -EBADMSG);
        ticket[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(ticket_take(&p.gate, &facts, span_of((char *)ticket, TICKET_BYTES - 1)),
                     -EBADMSG);
    assert_int_equal(ticket_take(&p.gate, &facts, SPAN("")), -EBADMSG);
    assert_int_equal(take(&p, &facts, ticket), 0);
    close_pair(&p);
}

static void without_its_key_it_is_nothing(void **state)
{
    struct pair p = open_pair(), none = {0};
    uint8_t ticket[TICKET_BYTES], zero[TICKET_BYTES] = {0};

    ticket_issue(&none.office, &facts, ticket);
    assert_memory_equal(ticket, zero, TICKET_BYTES);
    assert_int_equal(take(&p, &facts, ticket), -EBADMSG);
    ticket_issue(&p.office, &facts, ticket);
    assert_int_equal(take(&none, &facts, ticket), -EBADMSG);
    assert_int_equal(ticket_gate_open(&p.gate, other_key), 0);
    assert_int_equal(take(&p, &facts, ticket), -EBADMSG);
    close_pair(&p);
}

/* What the gate can't tell from a used one is none. */
static void an_old_one_is_too_old(void **state)
{
    struct pair p = open_pair();
    uint8_t first[TICKET_BYTES], second[TICKET_BYTES], late[TICKET_BYTES];

    ticket_issue(&p.office, &facts, first);
    ticket_issue(&p.office, &facts, second);
    p.office.last = TICKET_WINDOW; /* as if so many had been issued */
    ticket_issue(&p.office, &facts, late);
    assert_int_equal(take(&p, &facts, late), 0);
    assert_int_equal(take(&p, &facts, first), -EALREADY);
    assert_int_equal(take(&p, &facts, second), 0);
    p.office.last = UINT64_C(5) * TICKET_WINDOW;
    ticket_issue(&p.office, &facts, late);
    assert_int_equal(take(&p, &facts, late), 0);
    assert_int_equal(take(&p, &facts, late), -EALREADY);
    assert_int_equal(take(&p, &facts, second), -EALREADY);
    close_pair(&p);
}

static int take_serial(struct pair *p, uint64_t serial)
{
    uint8_t ticket[TICKET_BYTES];

    p->office.last = serial - 1;
    ticket_issue(&p->office, &facts, ticket);
    return take(p, &facts, ticket);
}

/* The window moves on by steps and by leaps: what comes into it is unused, whoever had its bit
 * before, and what stays in it keeps what is known of it. */
static void the_window_moves(void **state)
{
    const uint64_t window = TICKET_WINDOW;
    struct pair p = open_pair();

    for (uint64_t serial = 1; serial <= 130; serial++)
        assert_int_equal(take_serial(&p, serial), 0);
    assert_int_equal(take_serial(&p, window + 63), 0); /* by less than a window */
    assert_int_equal(take_serial(&p, 64), -EALREADY);  /* still in it */
    assert_int_equal(take_serial(&p, 130), -EALREADY);
    assert_int_equal(take_serial(&p, 131), 0);
    assert_int_equal(take_serial(&p, 63), -EALREADY); /* just out of it */
    for (uint64_t serial = 1; serial <= 62; serial++)
        assert_int_equal(take_serial(&p, window + serial), 0);
    assert_int_equal(take_serial(&p, window + 64), 0);
    assert_int_equal(take_serial(&p, window + 131), 0);
    assert_int_equal(take_serial(&p, window + 131), -EALREADY);

    assert_int_equal(take_serial(&p, 9 * window + 200), 0); /* by more */
    assert_int_equal(take_serial(&p, 8 * window + 201), 0); /* the oldest there is */
    assert_int_equal(take_serial(&p, 8 * window + 200), -EALREADY);
    for (uint64_t serial = 1; serial <= 131; serial++)
        assert_int_equal(take_serial(&p, 9 * window + serial), 0);

    assert_int_equal(take_serial(&p, 10 * window + 200), 0); /* by exactly one */
    assert_int_equal(take_serial(&p, 9 * window + 201), 0);
    assert_int_equal(take_serial(&p, 10 * window + 1), 0);
    close_pair(&p);
}

/* A new key is a new count of serials: those of the old one mean nothing to it. */
static void a_new_key_begins_anew(void **state)
{
    struct pair p = open_pair();

    assert_int_equal(take_serial(&p, 50000000), 0);
    assert_int_equal(ticket_office_open(&p.office, other_key), 0);
    assert_int_equal(ticket_gate_open(&p.gate, other_key), 0);
    assert_int_equal(p.office.last, 0);
    for (uint64_t serial = 1; serial <= 100; serial++)
        assert_int_equal(take_serial(&p, serial), 0);
    close_pair(&p);
}

/* Every fact that is there is in it: a bit of any of them makes another ticket. */
static void each_bit_of_the_facts_counts(void **state)
{
    struct pair p = open_pair();
    uint8_t ticket[TICKET_BYTES], address[16];
    struct ticket_facts other = facts;

    ticket_issue(&p.office, &facts, ticket);
    for (size_t bit = 0; bit < 128; bit++) {
        memcpy(address, ip, sizeof(address));
        address[bit / 8] ^= (uint8_t)(1 << bit % 8);
        other.ip = address;
        assert_int_equal(take(&p, &other, ticket), -EBADMSG);
    }
    other = facts;
    for (size_t bit = 0; bit < 32; bit++) {
        other.uid = facts.uid ^ UINT32_C(1) << bit;
        assert_int_equal(take(&p, &other, ticket), -EBADMSG);
    }
    other = facts;
    other.sender = SPAN(""); /* the null sender is one, too */
    assert_int_equal(take(&p, &other, ticket), -EBADMSG);
    ticket_issue(&p.office, &other, ticket);
    assert_int_equal(take(&p, &facts, ticket), -EBADMSG);
    assert_int_equal(take(&p, &other, ticket), 0);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_is_good_once),
        cmocka_unit_test(it_says_only_what_was_allowed),
        cmocka_unit_test(no_bit_of_it_can_be_changed),
        cmocka_unit_test(without_its_key_it_is_nothing),
        cmocka_unit_test(an_old_one_is_too_old),
        cmocka_unit_test(the_window_moves),
        cmocka_unit_test(a_new_key_begins_anew),
        cmocka_unit_test(each_bit_of_the_facts_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
