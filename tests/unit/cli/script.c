#include "../unit.h"

#include "script.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* One line without its CRLF; false at the end. */
static bool read_line(int fd, char *out, size_t room)
{
    size_t size = 0;

    while (size + 1 < room && read(fd, out + size, 1) == 1) {
        if (out[size] == '\n') {
            out[size - (size > 0 && out[size - 1] == '\r')] = '\0';
            return true;
        }
        size++;
    }
    out[size] = '\0';
    return false;
}

static bool fits(const char *got, const char *line, size_t size)
{
    if (size && line[size - 1] == '*')
        return strncmp(got, line, size - 1) == 0;
    return strlen(got) == size && memcmp(got, line, size) == 0;
}

static void expect(struct script *s, const char *line, size_t size)
{
    char got[1024];

    if (!read_line(s->fd, got, sizeof(got)))
        snprintf(got, sizeof(got), "(end)");
    if (!s->wrong[0] && !fits(got, line, size))
        snprintf(s->wrong, sizeof(s->wrong), "got \"%.100s\", not \"%.*s\"", got, (int)size, line);
}

static void read_data(struct script *s)
{
    char line[1024];

    while (read_line(s->fd, line, sizeof(line)) && strcmp(line, ".") != 0)
        buffer_printf(&s->data, "%s\n", line);
}

static void speak(struct script *s)
{
    for (const char *line = s->text; *line;) {
        size_t size = strcspn(line, "\n");
        if (line[0] == 'S') {
            dprintf(s->fd, "%.*s\r\n", (int)size - 2, line + 2);
        } else if (line[0] == 'C') {
            expect(s, line + 2, size - 2);
        } else if (line[0] == 'D') {
            read_data(s);
        } else {
            break;
        }
        line += size + (line[size] == '\n');
    }
    close(s->fd);
}

static void *run(void *arg)
{
    struct script *s = arg;

    if (s->listener < 0)
        speak(s);
    for (; s->listener >= 0 && *s->texts; s->texts++) {
        s->text = *s->texts;
        s->fd = accept(s->listener, NULL, NULL);
        speak(s);
    }
    return NULL;
}

void script_listen(struct script *s, const char *path, const char *const *texts)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *s = (struct script){.texts = texts};
    assert_true(strlen(path) < sizeof(address.sun_path));
    strcpy(address.sun_path, path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(s->listener, 8), 0);
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
}

int script_start(struct script *s, const char *text)
{
    int ends[2];

    *s = (struct script){.text = text, .listener = -1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    s->fd = ends[1];
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
    return ends[0];
}

void script_finish(struct script *s)
{
    pthread_join(s->thread, NULL);
    if (s->listener >= 0)
        close(s->listener);
    assert_string_equal(s->wrong, "");
    buffer_done(&s->data);
}
