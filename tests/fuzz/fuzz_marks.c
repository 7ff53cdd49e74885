/* Exported checkpoints of the book: what is read is written as text that is read as the same; no
 * signature but the right one holds, and that only over what was signed. */
#include "fuzz.h"

#include "book/marks.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

static char private_pem[512], public_pem[512];

static struct span pem_of(BIO *bio, char out[static 512])
{
    int size = BIO_read(bio, out, 511);

    assert(size > 0);
    BIO_free(bio);
    return span_of(out, (size_t)size);
}

/* From a fixed seed, so that runs are alike. */
static void make_keys(struct span *out_private, struct span *out_public)
{
    static const unsigned char seed[32] = {1, 2, 3};
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    BIO *secret = BIO_new(BIO_s_mem()), *open = BIO_new(BIO_s_mem());

    assert(key && secret && open);
    assert(PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL));
    assert(PEM_write_bio_PUBKEY(open, key));
    *out_private = pem_of(secret, private_pem);
    *out_public = pem_of(open, public_pem);
    EVP_PKEY_free(key);
}

static void check_signature(struct span text, size_t where)
{
    static struct span private, public;
    struct buffer sealed = BUFFER_INIT;

    if (!private.size)
        make_keys(&private, &public);
    assert(buffer_append_span(&sealed, text) == 0 && marks_sign(&sealed, private) == 0);
    assert(marks_are_signed(buffer_span(&sealed)));
    assert(marks_verify(buffer_span(&sealed), public) == 0);
    sealed.data[where % text.size] ^= 1;
    assert(marks_verify(buffer_span(&sealed), public) != 0);
    buffer_done(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    struct buffer once = BUFFER_INIT, twice = BUFFER_INIT;
    struct marks marks = {0}, again = {0};

    if (marks_parse(text, &marks) == 0) {
        assert(marks_format(&marks, &once) == 0);
        assert(marks_parse(buffer_span(&once), &again) == 0 && again.count == marks.count);
        assert(marks_format(&again, &twice) == 0);
        assert(span_equal(buffer_span(&once), buffer_span(&twice)));
        assert(!marks_are_signed(buffer_span(&once)));
        check_signature(buffer_span(&once), size);
    }
    assert(marks_verify(text, SPAN("no key")) != 0);
    buffer_done(&once);
    buffer_done(&twice);
    marks_done(&marks);
    marks_done(&again);
    return 0;
}
