/*
 * Shared by the file's keys and by `postbuch queue reroute`: one grammar of hosts, one canonical
 * form.
 */
#include "conf/next_hop.h"

#include "conf/network.h"
#include "mail/address.h"
#include <errno.h>

enum { PORT_SMTP = 25, PORT_MAX = 65535 };

bool conf_split_host(struct span text, struct span *out_host, struct span *out_port)
{
    ptrdiff_t bracket = text.size && text.data[0] == '[' ? span_find(text, ']') : -1;
    ptrdiff_t colon = span_find_last(text, ':');

    if (text.size && text.data[0] == '[' && bracket < 0)
        return false;
    size_t end = bracket >= 0 ? (size_t)bracket + 1 : colon >= 0 ? (size_t)colon : text.size;
    *out_host = span_first(text, end);
    *out_port = span_from(text, end);
    if (out_port->size == 0)
        return true;
    if (out_port->size == 1 || out_port->data[0] != ':')
        return false;
    *out_port = span_from(*out_port, 1);
    return true;
}

static int append_domain(struct span text, struct buffer *out)
{
    char name[ADDRESS_DOMAIN_MAX + 1];
    size_t size;

    if (text.size == 0 || text.data[0] == '[' ||
        address_parse_domain(text, ADDRESS_ALLOW_UTF8, name, &size) != ADDRESS_OK)
        return -EINVAL;
    return buffer_append(out, name, size);
}

static int append_host(struct span host, struct buffer *out)
{
    char text[IP_TEXT + 2];
    int r = conf_ip_host(host, text);

    if (r == -ENOENT)
        return append_domain(host, out);
    return r < 0 ? r : buffer_printf(out, "%s", text);
}

int conf_read_host(struct span text, struct buffer *out)
{
    struct span host, port;
    uint64_t number = PORT_SMTP;

    if (!span_starts_nocase(text, SPAN("smtp:")) ||
        !conf_split_host(span_from(text, 5), &host, &port) ||
        (port.size && (span_to_u64(port, PORT_MAX, &number) < 0 || number == 0)))
        return -EINVAL;
    buffer_printf(out, "%s", out->size ? "," : "host:");
    int r = append_host(host, out);
    return r < 0 ? r : buffer_printf(out, ":%u", (unsigned)number);
}

/* "mx" alone becomes "": as configured. What is canonical is compared by bytes, since equal next
 * hops share a destination in the scheduler. */
int conf_read_next_hop(struct span text, struct buffer *out)
{
    int r = 0;

    if (span_equal_nocase(text, SPAN("mx")))
        return 0;
    if (span_starts_nocase(text, SPAN("mx:"))) {
        r = buffer_printf(out, "mx:");
        return r < 0 ? r : append_domain(span_from(text, 3), out);
    }
    while (r == 0) {
        ptrdiff_t comma = span_find(text, ',');
        r = conf_read_host(comma < 0 ? text : span_first(text, (size_t)comma), out);
        if (comma < 0)
            break;
        text = span_from(text, (size_t)comma + 1);
    }
    return r;
}
