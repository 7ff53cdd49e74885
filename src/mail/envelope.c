#include "mail/envelope.h"

CODEC_DEFINE(, envelope_recipient_codec, struct envelope_recipient,
             CODEC_SPAN(struct envelope_recipient, address, ENVELOPE_ADDRESS_MAX),
             CODEC_SPAN(struct envelope_recipient, original, ENVELOPE_ADDRESS_MAX),
             CODEC_UINT(struct envelope_recipient, flags, ENVELOPE_RECIPIENT_EXPANDS),
             CODEC_FIXED(struct envelope_recipient, key));

CODEC_DEFINE(, envelope_codec, struct envelope, CODEC_FIXED(struct envelope, id),
             CODEC_INT(struct envelope, accepted_us),
             CODEC_SPAN(struct envelope, sender, ENVELOPE_ADDRESS_MAX),
             CODEC_LIST(struct envelope, recipients, recipient_count, ENVELOPE_RECIPIENTS_MAX,
                        &envelope_recipient_codec),
             CODEC_UINT(struct envelope, body, ENVELOPE_BODY_BINARYMIME),
             CODEC_UINT(struct envelope, smtputf8, 1),
             CODEC_UINT(struct envelope, size_bytes, UINT64_MAX),
             CODEC_FIXED(struct envelope, digest),
             CODEC_SPAN(struct envelope, message_id, ENVELOPE_TEXT_MAX),
             CODEC_FIXED(struct envelope, client.session), CODEC_FIXED(struct envelope, client.ip),
             CODEC_UINT(struct envelope, client.port, UINT16_MAX),
             CODEC_UINT(struct envelope, client.uid, UINT32_MAX),
             CODEC_SPAN(struct envelope, client.service, 32),
             CODEC_SPAN(struct envelope, client.helo, ENVELOPE_TEXT_MAX),
             CODEC_SPAN(struct envelope, client.protocol, 32),
             CODEC_SPAN(struct envelope, client.tls, 128),
             CODEC_SPAN(struct envelope, client.auth, ENVELOPE_ADDRESS_MAX));
