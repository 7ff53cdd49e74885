/* A generation of one domain from the texts of its files. */
#pragma once

#include "../../unit.h"

#include "proc/directory/generation.h"
#include <sys/mman.h>
#include <unistd.h>

static struct conf_directory_domain test_domains[] = {
    {.name = {"a.test", 6}, .users = {"/u", 2}, .aliases = {"/a", 2}}};
static struct conf_file test_files[] = {{.name = {"/u", 2}}, {.name = {"/a", 2}}};
static struct conf_relay_domain test_relays[] = {{.name = {"relayed.test", 12}}};
/* 127.9.0.0/16: tests can come from there. */
static struct conf_network test_trusted = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [13] = 9},
                                           .prefix = 112};

static inline int text_fd(const char *text)
{
    int fd = memfd_create("text", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd; /* its offset is at the end, as one that was used before */
}

/* `part` holds the encoded part and must live as long as the generation. */
static inline void generation_from(struct generation *g, struct buffer *part, const char *users,
                                   const char *aliases, struct conf_client_limits limits)
{
    const struct conf_directory conf = {.generation = 5,
                                        .postmaster = SPAN("anna@a.test"),
                                        .domains = test_domains,
                                        .domain_count = 1,
                                        .relays = test_relays,
                                        .relay_count = 1,
                                        .files = test_files,
                                        .file_count = 2,
                                        .trusted = &test_trusted,
                                        .trusted_count = 1,
                                        .limits = limits};

    buffer_clear(part);
    assert_int_equal(codec_encode(&conf_directory_codec, &conf, part), 0);
    assert_int_equal(generation_begin(g, buffer_span(part)), 0);
    assert_int_equal(generation_add_file(g, SPAN("/u"), text_fd(users)), 0);
    assert_int_equal(generation_add_file(g, SPAN("/a"), text_fd(aliases)), 0);
}
