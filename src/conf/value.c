/*
 * Numbers with units. Arithmetic that overflows is -ERANGE, never a smaller value.
 */
#include "conf/value.h"

#include <errno.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},           {"B", 1},           {"K", 1ULL << 10}, {"KB", 1ULL << 10},
    {"M", 1ULL << 20}, {"MB", 1ULL << 20}, {"G", 1ULL << 30}, {"GB", 1ULL << 30},
    {"T", 1ULL << 40}, {"TB", 1ULL << 40},
};

static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000},
};

static size_t count_digits(struct span s)
{
    size_t n = 0;

    while (n < s.size && s.data[n] >= '0' && s.data[n] <= '9')
        n++;
    return n;
}

/* `text` is one number with one unit. */
static int parse_unit(struct span text, const struct unit *units, size_t count, uint64_t *out)
{
    size_t digits = count_digits(text);
    struct span name = span_from(text, digits);
    uint64_t number;
    int r = span_to_u64(span_first(text, digits), UINT64_MAX, &number);

    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        if (span_equal_nocase(name, span_from_cstr(units[i].name)))
            return __builtin_mul_overflow(number, units[i].factor, out) ? -ERANGE : 0;
    return -EINVAL;
}

int conf_size_parse(struct span text, uint64_t *out_bytes)
{
    uint64_t bytes;
    int r = parse_unit(text, size_units, ARRAY_SIZE(size_units), &bytes);

    if (r == 0)
        *out_bytes = bytes;
    return r;
}

/* Parts are added: "1h30m". A number without a unit is refused, since seconds and days are equally
 * likely to be meant; only 0 is the same in all. */
int conf_duration_parse(struct span text, uint64_t *out_ms)
{
    uint64_t total = 0;

    if (text.size == 0)
        return -EINVAL;
    if (span_equal(text, SPAN("0"))) {
        *out_ms = 0;
        return 0;
    }
    while (text.size) {
        size_t end = count_digits(text);
        uint64_t part;
        while (end < text.size && count_digits(span_from(text, end)) == 0)
            end++;
        int r = parse_unit(span_first(text, end), time_units, ARRAY_SIZE(time_units), &part);
        if (r < 0)
            return r;
        if (__builtin_add_overflow(total, part, &total))
            return -ERANGE;
        text = span_from(text, end);
    }
    *out_ms = total;
    return 0;
}

/* Units of one factor follow each other, the shortest name first. */
static void format_unit(uint64_t value, const struct unit *units, size_t count, struct buffer *out)
{
    const struct unit *best = units;

    for (size_t i = 1; value && i < count; i++)
        if (units[i].factor > best->factor && value % units[i].factor == 0)
            best = &units[i];
    buffer_printf(out, "%llu%s", (unsigned long long)(value / best->factor),
                  value ? best->name : "");
}

void conf_size_format(uint64_t bytes, struct buffer *out)
{
    format_unit(bytes, size_units, ARRAY_SIZE(size_units), out);
}

void conf_duration_format(uint64_t ms, struct buffer *out)
{
    format_unit(ms, time_units, ARRAY_SIZE(time_units), out);
}

int conf_bool_parse(struct span text, bool *out)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"yes", true}, {"true", true},   {"on", true},
                 {"no", false}, {"false", false}, {"off", false}};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (span_equal_nocase(text, span_from_cstr(words[i].word))) {
            *out = words[i].value;
            return 0;
        }
    return -EINVAL;
}

/* Longer ones are no typing errors of any key; so the rows are bounded. */
unsigned conf_edit_distance(struct span a, struct span b, unsigned max)
{
    enum { LENGTH_MAX = 40 };
    /* Three rows of the table of Damerau and Levenshtein (optimal string alignment). */
    unsigned rows[3][LENGTH_MAX + 1];

    if (a.size > LENGTH_MAX || b.size > LENGTH_MAX)
        return max + 1;
    for (size_t j = 0; j <= b.size; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.size; i++) {
        unsigned *now = rows[i % 3], *above = rows[(i + 2) % 3], *higher = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.size; j++) {
            unsigned change = ascii_lower(a.data[i - 1]) != ascii_lower(b.data[j - 1]);
            unsigned best = above[j - 1] + change;
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && ascii_lower(a.data[i - 1]) == ascii_lower(b.data[j - 2]) &&
                ascii_lower(a.data[i - 2]) == ascii_lower(b.data[j - 1]) &&
                higher[j - 2] + 1 < best)
                best = higher[j - 2] + 1;
            now[j] = best;
        }
    }
    unsigned distance = rows[a.size % 3][b.size];
    return distance > max ? max + 1 : distance;
}
