#include "script_text.h"

#include <stdio.h>
#include <stdlib.h>

struct span script_unescape(char *text)
{
    char *out = text;

    for (const char *in = text; *in; in++) {
        if (*in != '\\') {
            *out++ = *in;
            continue;
        }
        char hex[3] = "";
        switch (*++in) {
        case 'r':
            *out++ = '\r';
            break;
        case 'n':
            *out++ = '\n';
            break;
        case 't':
            *out++ = '\t';
            break;
        case '0':
            *out++ = '\0';
            break;
        case 'x':
            memcpy(hex, in + 1, 2);
            *out++ = (char)strtoul(hex, NULL, 16);
            in += 2;
            break;
        default:
            *out++ = *in;
        }
    }
    return span_of(text, (size_t)(out - text));
}

/* '*' matches any run; the usual two-pointer walk, linear enough for test lines. */
bool script_matches(struct span pattern, struct span text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;

    while (t < text.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.size && pattern.data[p] == text.data[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*')
        p++;
    return p == pattern.size;
}

char *script_read(const char *name)
{
    FILE *f = fopen(name, "r");
    char *text = calloc(1, 1 << 20);

    if (!f || !text || fread(text, 1, (1 << 20) - 1, f) == 0) {
        perror(name);
        exit(2);
    }
    fclose(f);
    return text;
}
