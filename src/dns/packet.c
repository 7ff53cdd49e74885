/*
 * Only as much of RFC 1035 section 4.1 as leads to the authority section: names are skipped, never
 * followed, so no pointer can make it run in a circle. Each step takes bytes or ends.
 */
#include "dns/packet.h"

#include "dns/type.h"

enum { HEADER_SIZE = 12, QUESTION_SIZE = 4, RECORD_SIZE = 10, POINTER = 0xc0 };

static unsigned get_u16(struct span s, size_t at)
{
    return (unsigned)(uint8_t)s.data[at] << 8 | (uint8_t)s.data[at + 1];
}

/* A name of labels, or of some and a pointer (RFC 1035 4.1.4), which isn't followed. */
static bool skip_name(struct span *in)
{
    while (in->size) {
        uint8_t size = (uint8_t)in->data[0];
        bool ends = size == 0 || size >= POINTER;
        size_t taken = size >= POINTER ? 2 : 1u + size;
        /* The two other label types of RFC 1035 4.1.4 are reserved. */
        if ((size & POINTER) != 0 && size < POINTER)
            return false;
        if (taken > in->size)
            return false;
        *in = span_from(*in, taken);
        if (ends)
            return true;
    }
    return false;
}

/* RFC 1035 4.1.3: TYPE, CLASS, TTL, RDLENGTH, RDATA. */
static bool skip_record(struct span *in, unsigned *out_type)
{
    if (!skip_name(in) || in->size < RECORD_SIZE)
        return false;
    *out_type = get_u16(*in, 0);
    size_t size = RECORD_SIZE + get_u16(*in, RECORD_SIZE - 2);
    if (size > in->size)
        return false;
    *in = span_from(*in, size);
    return true;
}

bool dns_packet_has_soa(struct span packet)
{
    unsigned type;

    if (packet.size < HEADER_SIZE || get_u16(packet, 4) != 1)
        return false;
    unsigned answers = get_u16(packet, 6), authorities = get_u16(packet, 8);
    struct span in = span_from(packet, HEADER_SIZE);
    if (!skip_name(&in) || in.size < QUESTION_SIZE)
        return false;
    in = span_from(in, QUESTION_SIZE);
    for (unsigned i = 0; i < answers + authorities; i++) {
        if (!skip_record(&in, &type))
            return false;
        if (i >= answers && type == DNS_TYPE_SOA)
            return true;
    }
    return false;
}
