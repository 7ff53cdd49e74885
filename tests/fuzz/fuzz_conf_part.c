/* A process's part of the configuration from a hostile supervisor's end. The first byte chooses
 * which; what decodes is encoded to the same bytes again. */
#include "fuzz_table.h"

#include "conf/part.h"

static const struct codec *const codecs[] = {
    &conf_smtpd_codec,   &conf_queue_codec, &conf_book_codec,    &conf_directory_codec,
    &conf_mailbox_codec, &conf_smtp_codec,  &conf_resolver_codec};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0)
        fuzz_table(codecs[data[0] % ARRAY_SIZE(codecs)], span_of(data + 1, size - 1));
    return 0;
}
