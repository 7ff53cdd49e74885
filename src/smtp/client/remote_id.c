/*
 * There is no standard for the text behind "250": each program has its phrase, and big providers
 * theirs. What is found is kept for people, who read it to the other postmaster on the telephone;
 * nothing is decided by it, so a guess may be wrong.
 */
#include "smtp/client/reply.h"

enum { ID_MAX = 128, ID_MIN = 3 };

/* Where an id stands: behind a phrase, or in front of one. The more telling phrases come first. */
static const struct {
    const char *phrase;
    bool before; /* the id is the word in front of the phrase */
} phrases[] = {
    {"queued as ", false},  /* Postfix, Postbuch, Haraka */
    {"InternalId=", false}, /* Exchange */
    {"OK id=", false},      /* Exim */
    {" id=", false},
    {"queued mail as ", false},
    {" Message accepted for delivery", true}, /* sendmail, OpenSMTPD */
    {" qp ", false},                          /* qmail */
    {" - gsmtp", true},                       /* Google: the session's id */
    {"Message queued ", false},
    {"queued ", false},
};

static bool is_id_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("-._:/+=@$", c));
}

static ptrdiff_t find_phrase(struct span text, struct span phrase)
{
    for (size_t at = 0; at + phrase.size <= text.size; at++)
        if (span_starts_nocase(span_from(text, at), phrase))
            return (ptrdiff_t)at;
    return -1;
}

static struct span word_after(struct span text, size_t at)
{
    size_t size = 0;

    if (at < text.size && text.data[at] == '<')
        at++;
    while (at + size < text.size && is_id_byte(text.data[at + size]))
        size++;
    return span_of(text.data + at, size);
}

static struct span word_before(struct span text, size_t end)
{
    size_t start = end;

    while (start > 0 && is_id_byte(text.data[start - 1]))
        start--;
    return span_of(text.data + start, end - start);
}

/* An id has a digit in it, which a mere word ("delivery") has not. */
static bool looks_like_id(struct span word)
{
    bool digit = false;

    for (size_t i = 0; i < word.size; i++)
        digit |= word.data[i] >= '0' && word.data[i] <= '9';
    return digit && word.size >= ID_MIN && word.size <= ID_MAX;
}

static struct span without_end(struct span word)
{
    while (word.size && strchr(".,:;", word.data[word.size - 1]))
        word.size--;
    return word;
}

struct span smtp_remote_id(struct span text)
{
    for (size_t i = 0; i < ARRAY_SIZE(phrases); i++) {
        struct span phrase = span_from_cstr(phrases[i].phrase);
        ptrdiff_t at = find_phrase(text, phrase);
        if (at < 0)
            continue;
        struct span id =
            without_end(phrases[i].before ? word_before(text, (size_t)at)
                                          : word_after(text, (size_t)at + phrase.size));
        if (looks_like_id(id))
            return id;
    }
    return SPAN("");
}
