/*
 * A whole answer as it came, where its records alone don't tell what it means. The bytes are a
 * stranger's; the caller has the answer's code.
 */
#pragma once

#include "base/span.h"

/* True when its authority section holds an SOA record: an answer without records then says that
 * there are none (RFC 2308 2.2). Without it, it may be no answer at all: libunbound makes such of a
 * name server which knows only that it should be asked itself (a lame delegation). False for what
 * can't be read. */
bool dns_packet_has_soa(struct span packet);
