/* A process's part of the configuration from a hostile supervisor's end. The first byte chooses
 * which; what decodes is encoded to the same bytes again. */
#include "fuzz.h"

#include "conf/part.h"

static const struct codec *const codecs[] = {&conf_smtpd_codec, &conf_queue_codec, &conf_book_codec,
                                             &conf_directory_codec, &conf_mailbox_codec};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    union {
        struct conf_smtpd smtpd;
        struct conf_queue queue;
        struct conf_book book;
        struct conf_directory directory;
        struct conf_mailbox mailbox;
    } part;
    struct arena arena = ARENA_LIMITED(64 << 20);
    struct buffer again = BUFFER_INIT;

    if (size == 0)
        return 0;
    const struct codec *codec = codecs[data[0] % ARRAY_SIZE(codecs)];
    struct span wire = span_of(data + 1, size - 1);
    if (codec_decode(codec, wire, &arena, &part) == 0) {
        assert(codec_encode(codec, &part, &again) == 0);
        assert(span_equal(buffer_span(&again), wire));
    }
    buffer_done(&again);
    arena_done(&arena);
    return 0;
}
