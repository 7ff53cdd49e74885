#include "dns/rdata.h"

#include "dns/type.h"
#include <errno.h>

int dns_rdata_mx(struct span rdata, struct dns_mx_record *out)
{
    const uint8_t *bytes = (const uint8_t *)rdata.data;
    size_t used;

    if (rdata.size < 3 || dns_name_to_text(span_from(rdata, 2), out->exchange, &used) < 0)
        return -EINVAL;
    /* Bytes behind the name: not what RFC 1035 3.3.9 describes. */
    if (used != rdata.size - 2)
        return -EINVAL;
    out->preference = (uint16_t)(bytes[0] << 8 | bytes[1]);
    return 0;
}

int dns_rdata_ip(uint16_t type, struct span rdata, struct dns_ip *out)
{
    if (type == DNS_TYPE_A && rdata.size == 4)
        ip_from_v4(rdata.data, out->bytes);
    else if (type == DNS_TYPE_AAAA && rdata.size == sizeof(out->bytes))
        memcpy(out->bytes, rdata.data, sizeof(out->bytes));
    else
        return -EINVAL;
    return 0;
}
