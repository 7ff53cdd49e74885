/*
 * The wire form of envelope.h. Its first version ended with client.auth; what RFC 3461 asks for
 * came later and may be missing (base/codec.h, optional_from), so that older spools are read as
 * they are. New fields go to the end.
 */
#include "mail/dsn.h"

CODEC_DEFINE(, envelope_recipient_codec, struct envelope_recipient,
             CODEC_SPAN(struct envelope_recipient, address, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct envelope_recipient, original, ENVELOPE_ADDRESS_MAX),
             CODEC_UINT(struct envelope_recipient, flags,
                        ENVELOPE_RECIPIENT_EXPANDS | ENVELOPE_RECIPIENT_DUPLICATE),
             CODEC_FIXED(struct envelope_recipient, key));

enum {
    ENVELOPE_FIELDS_1 = 18, /* of the first version */
    NOTIFY_MAX = ENVELOPE_NOTIFY_SUCCESS | ENVELOPE_NOTIFY_FAILURE | ENVELOPE_NOTIFY_DELAY
};

CODEC_DEFINE(static, wish_codec, struct envelope_wish,
             CODEC_UINT(struct envelope_wish, recipient, ENVELOPE_RECIPIENTS_MAX - 1),
             CODEC_UINT(struct envelope_wish, notify, NOTIFY_MAX),
             CODEC_SPAN(struct envelope_wish, original, ENVELOPE_ORCPT_MAX));

CODEC_DEFINE_GROWN(
    , envelope_codec, struct envelope, ENVELOPE_FIELDS_1, CODEC_FIXED(struct envelope, id),
    CODEC_INT(struct envelope, accepted_us),
    CODEC_SPAN(struct envelope, sender, ENVELOPE_ADDRESS_MAX),
    CODEC_LIST(struct envelope, recipients, recipient_count, ENVELOPE_RECIPIENTS_MAX,
               &envelope_recipient_codec),
    CODEC_UINT(struct envelope, body, ENVELOPE_BODY_BINARYMIME),
    CODEC_UINT(struct envelope, smtputf8, 1), CODEC_UINT(struct envelope, size_bytes, UINT64_MAX),
    CODEC_FIXED(struct envelope, digest),
    CODEC_SPAN(struct envelope, message_id, ENVELOPE_TEXT_MAX),
    CODEC_FIXED(struct envelope, client.session), CODEC_FIXED(struct envelope, client.ip),
    CODEC_UINT(struct envelope, client.port, UINT16_MAX),
    CODEC_UINT(struct envelope, client.uid, UINT32_MAX),
    CODEC_SPAN(struct envelope, client.service, 32),
    CODEC_SPAN(struct envelope, client.helo, ENVELOPE_TEXT_MAX),
    CODEC_SPAN(struct envelope, client.protocol, 32), CODEC_SPAN(struct envelope, client.tls, 128),
    CODEC_SPAN(struct envelope, client.auth, ENVELOPE_ADDRESS_MAX),
    CODEC_UINT(struct envelope, returned, ENVELOPE_RETURN_HEADER),
    CODEC_SPAN(struct envelope, envelope_id, ENVELOPE_ENVID_MAX),
    CODEC_LIST(struct envelope, wishes, wish_count, ENVELOPE_RECIPIENTS_MAX, &wish_codec));

size_t envelope_wish_place(const struct envelope *e, uint32_t recipient)
{
    size_t low = 0, high = e->wish_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (e->wishes[middle].recipient < recipient)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Sorted and each once: envelope_wishes_are_sound() has seen to it where the envelope came from a
 * peer. */
struct envelope_wish envelope_wish_of(const struct envelope *e, uint32_t recipient)
{
    size_t at = envelope_wish_place(e, recipient);

    if (at < e->wish_count && e->wishes[at].recipient == recipient)
        return e->wishes[at];
    return (struct envelope_wish){.recipient = recipient, .original = SPAN("")};
}

/* What a table can't say: that indices exist, that NEVER stands alone, that texts are what they
 * claim. A taken-over smtpd may send anything that the table lets through. */
static bool is_sound(const struct envelope *e, const struct envelope_wish *w)
{
    return w->recipient < e->recipient_count &&
           (w->notify == ENVELOPE_NOTIFY_NEVER || !(w->notify & ENVELOPE_NOTIFY_NEVER)) &&
           (!w->original.size || dsn_is_original(w->original, e->smtputf8));
}

bool envelope_wishes_are_sound(const struct envelope *e)
{
    for (size_t i = 0; i < e->wish_count; i++)
        if (!is_sound(e, &e->wishes[i]) ||
            (i && e->wishes[i].recipient <= e->wishes[i - 1].recipient))
            return false;
    return !e->envelope_id.size || dsn_is_envelope_id(e->envelope_id);
}
