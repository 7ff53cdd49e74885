/* Answers for tests, written as text. */
#pragma once

#include "../unit.h"

#include "dns/mx.h"
#include "dns/type.h"

/* "10 a.example", "192.0.2.1", "2001:db8::1"; NULL at the end of the list. */
struct fake_answer {
    struct dns_answer answer;
    struct span rdata[64];
    char bytes[64][DNS_WIRE_MAX + 2];
};

static inline void fake_add(struct fake_answer *f, const char *text)
{
    size_t at = f->answer.rdata_count++, size;
    char *bytes = f->bytes[at];
    struct dns_ip ip;
    ptrdiff_t blank = span_find(span_from_cstr(text), ' ');
    uint64_t preference = 0;

    if (blank < 0) {
        assert_int_equal(ip_parse(span_from_cstr(text), ip.bytes), 0);
        size = ip_is_v4(ip.bytes) ? 4 : 16;
        memcpy(bytes, ip.bytes + 16 - size, size);
    } else {
        assert_int_equal(span_to_u64(span_of(text, (size_t)blank), UINT16_MAX, &preference), 0);
        bytes[0] = (char)(preference >> 8);
        bytes[1] = (char)preference;
        assert_int_equal(
            dns_name_from_text(span_from_cstr(text + blank + 1), (uint8_t *)bytes + 2, &size), 0);
        size += 2;
    }
    f->rdata[at] = span_of(bytes, size);
    f->answer.rdata = f->rdata;
}
