#include "mail/received.h"

#include "base/clock.h"
#include "base/ip.h"

#include <stdio.h>

void received_format_ip(const uint8_t ip[static 16], char out[static RECEIVED_CLIENT_MAX])
{
    char text[IP_TEXT];

    ip_format(ip, text);
    snprintf(out, RECEIVED_CLIENT_MAX, "[%s%s]", ip_is_v4(ip) ? "" : "IPv6:", text);
}

/* The HELO text is whatever the client liked. Outside a comment it may only be what a domain or an
 * address literal is made of. */
static void append_helo(struct span helo, struct buffer *out)
{
    if (helo.size == 0)
        buffer_append_span(out, SPAN("unknown"));
    for (size_t i = 0; i < helo.size && i < 255; i++) {
        unsigned char c = (unsigned char)helo.data[i];
        bool plain = (c > 127) || (c > ' ' && c < 127 && !strchr("()<>\\\";,@", c));
        buffer_append_byte(out, plain ? (char)c : '?');
    }
}

/* RFC 5321 section 4.4: the name that the client gave, and in the comment the address that it
 * really had. A local user has no address, but a number that the kernel vouches for. */
static void append_from(const struct envelope_client *client, struct buffer *out)
{
    char ip[RECEIVED_CLIENT_MAX];

    buffer_append_span(out, SPAN("Received: from "));
    append_helo(client->helo, out);
    if (client->uid != UINT32_MAX) {
        buffer_printf(out, " (local user %u)\r\n", client->uid);
        return;
    }
    received_format_ip(client->ip, ip);
    buffer_printf(out, " (%s)\r\n", ip);
}

/* RFC 5321 4.4 and 7.2: "for" has one path at most, and names nobody when there are several, for
 * one of them may be a blind copy. */
static void append_for(const struct envelope *envelope, struct buffer *out)
{
    if (envelope->recipient_count != 1)
        return;
    struct span address = envelope->recipients[0].original;
    if (address.size == 0)
        address = envelope->recipients[0].address;
    buffer_printf(out, "\r\n\tfor <" SPAN_FMT ">", SPAN_ARG(address));
}

int received_write(const struct envelope *envelope, struct span hostname, struct buffer *out)
{
    const struct envelope_client *client = &envelope->client;
    char id[ID_TEXT + 1], date[CLOCK_RFC5322_SIZE];

    id_format(&envelope->id, id);
    clock_format_rfc5322(envelope->accepted_us, date);
    append_from(client, out);
    if (client->tls.size)
        buffer_printf(out, "\t(using " SPAN_FMT ")\r\n", SPAN_ARG(client->tls));
    buffer_printf(out, "\tby " SPAN_FMT " with " SPAN_FMT " id %s", SPAN_ARG(hostname),
                  SPAN_ARG(client->protocol), id);
    append_for(envelope, out);
    buffer_printf(out, ";\r\n\t%s\r\n", date);
    return buffer_error(out);
}
