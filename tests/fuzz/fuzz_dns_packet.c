/* A stranger's whole answer: what is found in it isn't in its header alone. */
#include "fuzz.h"

#include "dns/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (dns_packet_has_soa(span_of(data, size)))
        assert(size > 12 && !dns_packet_has_soa(span_of(data, 12)));
    return 0;
}
