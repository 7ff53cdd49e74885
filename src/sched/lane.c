/*
 * Places for attempts, shared by trust and among senders (sched.h). DOUBTFUL sites have their
 * bound, FRESH ones share what `unproven` leaves them, PROVEN ones what is left of all. The rings
 * take turns, in a ring the crowds, and in a crowd its destinations, so that none waits for
 * another.
 *
 * In each ring a crowd begins no more attempts while it has CROWD_SHARE times as many as are left:
 * who is alone gets three quarters, two get three sevenths each, and something is always left for
 * who comes next. (Choudhury and Hahne's dynamic thresholds, by which a switch shares its memory
 * among ports. A fixed part for each would be idle while few have much, or too much for many.)
 *
 * A destination belongs to the crowd of who is next there. While that one has enough under way, the
 * others who have mail for the same destination may overtake him: else he would keep them from it,
 * until as many of his attempts have ended as he has before it. He stays the next there, and goes
 * before his other mail once he has room again.
 */
#include "sched/internal.h"

enum { CROWD_SHARE = 3 };

/* Flows and destinations at which one call looks in a ring for somebody who may overtake. Who isn't
 * found is looked for at the next call: whoever has enough has attempts under way, and each end of
 * one brings a call. */
enum { LOOKS = 64 };

void lane_init(struct lane *lane)
{
    for (size_t i = 0; i < SITE_TRUST_COUNT; i++)
        list_init(&lane->rings[i].turns);
}

/* ---- places ---- */

static uint32_t left_of(uint32_t places, uint32_t taken)
{
    return places > taken ? places - taken : 0;
}

static uint32_t lesser(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t places_left(const struct sched *s, unsigned number, enum site_trust trust)
{
    const struct sched_share *share = &s->config.shares[number];
    const uint32_t *under_way = s->lanes[number].under_way;
    uint32_t unproven = under_way[SITE_DOUBTFUL] + under_way[SITE_FRESH];

    uint32_t left = left_of(share->all, unproven + under_way[SITE_PROVEN]);

    if (trust != SITE_PROVEN)
        left = lesser(left, left_of(share->unproven, unproven));
    if (trust == SITE_DOUBTFUL)
        left = lesser(left, left_of(share->doubtful, under_way[SITE_DOUBTFUL]));
    return left;
}

/* With nothing under way: as long as any place is left. */
static bool may_begin(const struct crowd *crowd, uint32_t left)
{
    return crowd->under_way < (uint64_t)left * CROWD_SHARE;
}

/* ---- crowds ---- */

/* Spread anew by each start's seed, so that nobody shares his fate with a stranger for ever. */
static uint32_t crowd_number(const struct sched *s, uint32_t sender)
{
    uint32_t hash = (sender ^ (uint32_t)s->config.seed) * 2654435761u; /* Knuth's, as in flow.c */
    return hash >> (32 - CROWD_BITS);
}

static struct crowd *crowd_of(struct sched *s, unsigned lane, unsigned trust, uint32_t sender)
{
    return &s->lanes[lane].rings[trust].crowds[crowd_number(s, sender)];
}

static uint32_t next_sender(const struct destination *d)
{
    return CONTAINER_OF(d->flows.next, struct flow, link)->sender;
}

struct crowd *lane_crowd(struct sched *s, const struct destination *d)
{
    return crowd_of(s, d->lane, site_at(s, d->site)->trust, next_sender(d));
}

void lane_count_flows(struct destination *d)
{
    bool shared = d->flows.next != d->flows.prev;

    if (shared && !list_is_linked(&d->shared))
        list_append(&d->crowd->shared, &d->shared);
    else if (!shared)
        list_remove(&d->shared);
}

/* A crowd that nobody has used yet is zeroed. */
void lane_enter(struct sched *s, struct destination *d)
{
    struct crowd *crowd = lane_crowd(s, d);

    d->crowd = crowd;
    if (list_is_empty(&crowd->destinations)) {
        list_init(&crowd->destinations);
        list_init(&crowd->shared);
        list_append(&s->lanes[d->lane].rings[site_at(s, d->site)->trust].turns, &crowd->link);
    }
    if (d->overtaken)
        list_prepend(&crowd->destinations, &d->link);
    else
        list_append(&crowd->destinations, &d->link);
    lane_count_flows(d);
}

void lane_leave(struct destination *d)
{
    list_remove(&d->link);
    list_remove(&d->shared);
    if (list_is_empty(&d->crowd->destinations))
        list_remove(&d->crowd->link);
    d->crowd = NULL;
}

/* At a proven site senders take plain turns: there one who is busy elsewhere would starve beside
 * very many others. At an unproven one it is about who goes ahead to see. */
bool lane_prefers(struct sched *s, const struct destination *d, uint32_t sender)
{
    unsigned trust = site_at(s, d->site)->trust;

    return trust != SITE_PROVEN && !list_is_empty(&d->flows) &&
           crowd_of(s, d->lane, trust, sender)->under_way <
               crowd_of(s, d->lane, trust, next_sender(d))->under_way;
}

/* ---- overtaking ---- */

/* Where a search for who may overtake has come to. */
struct search {
    const struct sched *sched;
    const struct ring *ring;
    uint32_t left;  /* places */
    unsigned looks; /* left as well */
    struct destination *destination;
    struct list *flow; /* the one found, or the next to look at there */
};

static struct search search_in(const struct sched *s, const struct ring *ring, uint32_t left)
{
    return (struct search){.sched = s, .ring = ring, .left = left, .looks = LOOKS};
}

static bool flow_may_begin(const struct search *search, const struct list *link)
{
    uint32_t sender = CONTAINER_OF(link, struct flow, link)->sender;
    return may_begin(&search->ring->crowds[crowd_number(search->sched, sender)], search->left);
}

/* Behind the first, which is the one to be overtaken. */
static bool search_destination(struct search *search, struct destination *d)
{
    bool goes = site_may_go(site_at(search->sched, d->site));

    search->destination = d;
    search->flow = goes ? d->flows.next->next : &d->flows;
    for (; search->looks; search->flow = search->flow->next) {
        search->looks--;
        if (search->flow == &d->flows)
            return false;
        if (flow_may_begin(search, search->flow))
            return true;
    }
    return false;
}

static bool search_crowd(struct search *search, const struct crowd *crowd)
{
    const struct list *link = crowd->shared.next;

    for (; search->looks && link != &crowd->shared; link = link->next)
        if (search_destination(search, CONTAINER_OF(link, struct destination, shared)))
            return true;
    return false;
}

/* What was the head's first comes to its end, and so on up to `first`. */
static void rotate(struct list *head, struct list *first)
{
    if (first == head)
        return;
    list_remove(head);
    list_append(first, head);
}

/* The next search goes on where this one ended: there among the flows, but first at the other
 * destinations, and before these at the other crowds. */
static void adjourn(struct search *search, struct ring *ring, struct crowd *crowd)
{
    struct destination *d = search->destination;

    if (search->flow != &d->flows) {
        struct list *overtaken = list_take_first(&d->flows);
        rotate(&d->flows, search->flow);
        list_prepend(&d->flows, overtaken);
    }
    rotate(&crowd->shared, d->shared.next);
    list_remove(&crowd->link);
    list_append(&ring->turns, &crowd->link);
}

static struct destination *overtake(struct search *search, struct ring *ring, struct crowd *crowd)
{
    if (search->looks == 0)
        return NULL;
    if (search_crowd(search, crowd)) {
        list_remove(search->flow);
        list_prepend(&search->destination->flows, search->flow);
        return search->destination;
    }
    if (search->looks == 0)
        adjourn(search, ring, crowd);
    return NULL;
}

/* ---- turns ---- */

static bool ring_is_ready(const struct sched *s, const struct ring *ring, uint32_t left)
{
    struct search search = search_in(s, ring, left);
    const struct list *link = ring->turns.next;

    for (; left && link != &ring->turns; link = link->next) {
        const struct crowd *crowd = CONTAINER_OF(link, struct crowd, link);
        if (may_begin(crowd, left) || search_crowd(&search, crowd))
            return true;
    }
    return false;
}

/* It has something that may go now, unless its turn shows otherwise. */
static bool is_ready(const struct sched *s, unsigned number)
{
    for (enum site_trust trust = 0; trust < SITE_TRUST_COUNT; trust++)
        if (ring_is_ready(s, &s->lanes[number].rings[trust], places_left(s, number, trust)))
            return true;
    return false;
}

int64_t lane_next_ms(const struct sched *s, unsigned number)
{
    const struct brake *brake = &s->lanes[number].brake;

    if (!is_ready(s, number))
        return INT64_MAX;
    return brake_is_on(brake) ? brake->until_ms : INT64_MIN;
}

/* Those whose site is full by now leave the crowd. */
static struct destination *first_of_crowd(struct sched *s, struct crowd *crowd)
{
    while (!list_is_empty(&crowd->destinations)) {
        struct destination *d = CONTAINER_OF(crowd->destinations.next, struct destination, link);
        if (site_may_go(site_at(s, d->site)))
            return d;
        destination_update(s, d);
    }
    return NULL;
}

/* Who has enough under way is overtaken at his destinations, or passed over, and stays the next to
 * go. */
static struct destination *first_of_ring(struct sched *s, struct ring *ring, uint32_t left)
{
    struct search search = search_in(s, ring, left);

    if (left == 0)
        return NULL;
    LIST_EACH(&ring->turns, link)
    {
        struct crowd *crowd = CONTAINER_OF(link, struct crowd, link);
        struct destination *d =
            may_begin(crowd, left) ? first_of_crowd(s, crowd) : overtake(&search, ring, crowd);
        if (d)
            return d;
    }
    return NULL;
}

struct destination *lane_next(struct sched *s, unsigned number, int64_t now_ms)
{
    struct lane *lane = &s->lanes[number];

    if (!brake_lets_go(&lane->brake, now_ms))
        return NULL;
    for (unsigned i = 0; i < SITE_TRUST_COUNT; i++) {
        enum site_trust trust = (lane->turn + i) % SITE_TRUST_COUNT;
        struct destination *d =
            first_of_ring(s, &lane->rings[trust], places_left(s, number, trust));
        if (!d)
            continue;
        lane->turn = trust + 1;
        return d;
    }
    return NULL;
}

/* ---- attempts ---- */

/* To the ends of ring and crowd, if they stay in; who was overtaken goes to the crowd's front. */
static void pass_turn(struct sched *s, struct destination *d, const struct crowd *goes)
{
    struct list *turns = &s->lanes[d->lane].rings[site_at(s, d->site)->trust].turns;
    struct list *crowd = &d->crowd->link;

    d->overtaken = d->crowd != goes;
    destination_withdraw(s, d);
    if (!list_is_linked(crowd))
        return;
    list_remove(crowd);
    list_append(turns, crowd);
}

/* The trust goes into the item's flags: the place is given back under the trust under which it was
 * taken, whatever the site has shown meanwhile. */
void lane_begin(struct sched *s, struct item *i, int64_t now_ms)
{
    struct destination *d = destination_at(s, i->destination);
    struct site *site = site_at(s, d->site);

    i->flags |= (uint8_t)(ITEM_IN_WINDOW | site->trust << ITEM_TRUST_SHIFT);
    d->active++;
    site->active++;
    s->lanes[d->lane].under_way[site->trust]++;
    struct crowd *crowd = crowd_of(s, d->lane, site->trust, i->sender);
    crowd->under_way++;
    brake_attempt(&s->lanes[d->lane].brake, now_ms);
    pass_turn(s, d, crowd);
}

void lane_end(struct sched *s, struct item *i)
{
    struct destination *d = destination_at(s, i->destination);
    unsigned trust = i->flags >> ITEM_TRUST_SHIFT;

    s->lanes[d->lane].under_way[trust]--;
    crowd_of(s, d->lane, trust, i->sender)->under_way--;
    d->active--;
    site_at(s, d->site)->active--;
    i->flags &= (1u << ITEM_TRUST_SHIFT) - 1 - ITEM_IN_WINDOW;
}
