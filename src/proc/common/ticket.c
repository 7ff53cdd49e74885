/*
 * The MAC covers sizes and then texts, so that no two facts can be written alike. The window of
 * used serials is a ring of bits: 512 KiB for four million tickets, so that a ticket can come as
 * late as its message does.
 */
#include "proc/common/ticket.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum { SERIAL_BYTES = 8, MAC_BYTES = TICKET_BYTES - SERIAL_BYTES, IP_BYTES = 16 };

static EVP_MAC *hmac; /* fetched once, before the sandbox */

/* NULL: no memory. */
static EVP_MAC_CTX *keyed(const uint8_t *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_END};
    EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;

    if (mac && !EVP_MAC_init(mac, key, TICKET_KEY_BYTES, parameters)) {
        EVP_MAC_CTX_free(mac);
        mac = NULL;
    }
    return mac;
}

/* The first use of a digest looks it up, too. */
int ticket_prepare(void)
{
    static const uint8_t any_key[TICKET_KEY_BYTES];

    if (!hmac)
        hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *probe = keyed(any_key);
    EVP_MAC_CTX_free(probe);
    return probe ? 0 : -ENOMEM;
}

static void put(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++, value >>= 8)
        out[i] = (uint8_t)value;
}

static uint64_t get_serial(const uint8_t *in)
{
    uint64_t value = 0;

    for (size_t i = SERIAL_BYTES; i-- > 0;)
        value = value << 8 | in[i];
    return value;
}

static bool update(EVP_MAC_CTX *mac, struct span s)
{
    return s.size == 0 || EVP_MAC_update(mac, (const unsigned char *)s.data, s.size);
}

/* What is variable in size comes last, its sizes before it: no two facts have the same bytes. */
static bool sign(EVP_MAC_CTX *mac, uint64_t serial, const struct ticket_facts *f,
                 uint8_t out[static MAC_BYTES])
{
    uint8_t head[SERIAL_BYTES + IP_BYTES + 4 + 1 + 4], full[EVP_MAX_MD_SIZE];
    size_t size;

    put(head, serial, SERIAL_BYTES);
    memcpy(head + SERIAL_BYTES, f->ip, IP_BYTES);
    put(head + SERIAL_BYTES + IP_BYTES, f->uid, 4);
    head[SERIAL_BYTES + IP_BYTES + 4] = f->expands;
    put(head + SERIAL_BYTES + IP_BYTES + 5, f->sender.size, 4);
    if (!mac || !EVP_MAC_init(mac, NULL, 0, NULL) || !EVP_MAC_update(mac, head, sizeof(head)) ||
        !update(mac, f->sender) || !update(mac, f->address) ||
        !EVP_MAC_final(mac, full, &size, sizeof(full)))
        return false;
    memcpy(out, full, MAC_BYTES);
    return true;
}

/* ---- who issues ---- */

int ticket_office_open(struct ticket_office *office, const uint8_t key[static TICKET_KEY_BYTES])
{
    EVP_MAC_CTX *mac = keyed(key);

    if (!mac)
        return -ENOMEM;
    ticket_office_done(office);
    office->mac = mac;
    return 0;
}

void ticket_office_done(struct ticket_office *office)
{
    EVP_MAC_CTX_free(office->mac);
    *office = (struct ticket_office){0};
}

/* The serial is used up even if the MAC fails: two tickets of one serial must never exist. */
void ticket_issue(struct ticket_office *office, const struct ticket_facts *facts,
                  uint8_t out[static TICKET_BYTES])
{
    put(out, ++office->last, SERIAL_BYTES);
    if (!sign(office->mac, office->last, facts, out + SERIAL_BYTES))
        memset(out, 0, TICKET_BYTES);
}

/* ---- who takes ---- */

int ticket_gate_open(struct ticket_gate *gate, const uint8_t key[static TICKET_KEY_BYTES])
{
    uint64_t *used = calloc(TICKET_WINDOW / 64, sizeof(*used));
    EVP_MAC_CTX *mac = used ? keyed(key) : NULL;

    if (!mac) {
        free(used);
        return -ENOMEM;
    }
    ticket_gate_done(gate);
    *gate = (struct ticket_gate){.mac = mac, .used = used};
    return 0;
}

void ticket_gate_done(struct ticket_gate *gate)
{
    EVP_MAC_CTX_free(gate->mac);
    free(gate->used);
    *gate = (struct ticket_gate){0};
}

static uint64_t bit_of(uint64_t serial)
{
    return UINT64_C(1) << (serial % 64);
}

static uint64_t *word_of(const struct ticket_gate *gate, uint64_t serial)
{
    return &gate->used[serial % TICKET_WINDOW / 64];
}

/* Serials that come into the window take the bits of those that leave it. At most a window's worth
 * of steps, however far a genuine serial jumps. */
static void advance(struct ticket_gate *gate, uint64_t serial)
{
    if (serial - gate->highest >= TICKET_WINDOW)
        memset(gate->used, 0, TICKET_WINDOW / 8);
    else
        for (uint64_t s = gate->highest + 1; s <= serial; s++)
            *word_of(gate, s) &= ~bit_of(s);
    gate->highest = serial;
}

int ticket_take(struct ticket_gate *gate, const struct ticket_facts *facts, struct span ticket)
{
    const uint8_t *bytes = (const uint8_t *)ticket.data;
    uint8_t mac[MAC_BYTES];

    if (ticket.size != TICKET_BYTES)
        return -EBADMSG;
    uint64_t serial = get_serial(bytes);
    /* Before the serial is believed: only a genuine one may move the window on. */
    if (!sign(gate->mac, serial, facts, mac) ||
        CRYPTO_memcmp(mac, bytes + SERIAL_BYTES, MAC_BYTES) != 0)
        return -EBADMSG;
    if (serial > gate->highest)
        advance(gate, serial);
    if (gate->highest - serial >= TICKET_WINDOW || (*word_of(gate, serial) & bit_of(serial)))
        return -EALREADY;
    *word_of(gate, serial) |= bit_of(serial);
    return 0;
}
