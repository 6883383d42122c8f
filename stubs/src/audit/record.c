/* One line of evidence: built on the stack, written at once. */
#define _GNU_SOURCE
#include "audit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

char evidence[PATH_MAX + 32];
atomic_int confined;

static void put_bytes(struct record *record, const char *bytes, size_t size)
{
    memcpy(record->text + record->used, bytes, size);
    record->used += size;
}

static void put(struct record *record, const char *text)
{
    put_bytes(record, text, strlen(text));
}

/* The length of the UTF-8 sequence at `text`; 0 where there is none. */
static size_t sequence(const unsigned char *text)
{
    size_t size = *text < 0x80 ? 1 : *text < 0xc2 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : 4;
    if (*text > 0xf4 || (*text == 0xe0 && text[1] < 0xa0) || (*text == 0xed && text[1] > 0x9f) ||
        (*text == 0xf0 && text[1] < 0x90) || (*text == 0xf4 && text[1] > 0x8f))
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

static void put_text(struct record *record, const char *text)
{
    put(record, "\"");
    for (size_t size; *text && record->used < record->full; text += size ? size : 1) {
        char escaped[8];
        size = sequence((const unsigned char *)text);
        if (*text == '"' || *text == '\\')
            put(record, "\\");
        if (!size)
            put(record, "\\ufffd");
        else if ((unsigned char)*text < 0x20) {
            snprintf(escaped, sizeof escaped, "\\u%04x", *text);
            put(record, escaped);
        } else
            put_bytes(record, text, size);
    }
    put(record, *text ? "...\"" : "\"");
}

static void put_key(struct record *record, const char *key)
{
    put(record, ", \"");
    put(record, key);
    put(record, "\": ");
}

void add(struct record *record, const char *key, const char *value)
{
    put_key(record, key);
    if (value)
        put_text(record, value);
    else
        put(record, "null");
}

void add_list(struct record *record, const char *key, char *const *texts)
{
    put_key(record, key);
    put(record, "[");
    for (size_t i = 0; texts && texts[i] && record->used < record->full; i++) {
        put(record, i ? ", " : "");
        put_text(record, texts[i]);
    }
    put(record, "]");
}

void add_pairs(struct record *record, const char *key, const char *const (*pairs)[2], size_t count)
{
    put_key(record, key);
    put(record, "{");
    for (size_t i = 0, some = 0; i < count; i++) {
        if (!pairs[i][1])
            continue;
        put(record, some++ ? ", " : "");
        put_text(record, pairs[i][0]);
        put(record, ": ");
        put_text(record, pairs[i][1]);
    }
    put(record, "}");
}

void add_truth(struct record *record, const char *key, int value)
{
    put_key(record, key);
    put(record, value ? "true" : "false");
}

void add_number(struct record *record, const char *key, long value)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", value);
    put_key(record, key);
    put(record, text);
}

void begin(struct record *record, const char *event)
{
    struct timespec now;
    char text[160];
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(text, sizeof text, "{\"t\": %lld%09ld, \"pid\": %d, \"tid\": %ld, \"event\": \"%s\"",
             (long long)now.tv_sec, now.tv_nsec, getpid(), syscall(SYS_gettid), event);
    put(record, text);
}

/* Whether a file may grow by a record: a write beyond the process's limit ends it (SIGXFSZ). */
static int may_grow(int file)
{
    struct rlimit limit;
    return !getrlimit(RLIMIT_FSIZE, &limit) &&
           (limit.rlim_cur == RLIM_INFINITY ||
            (rlim_t)lseek(file, 0, SEEK_END) + (1 << 20) < limit.rlim_cur); /* others write, too */
}

static int open_file(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC);
}

/* The file is opened for each record: a number kept open would be the program's own file once it
 * closed all that it did not open. */
void end(struct record *record)
{
    put(record, "}\n");
    int file = *evidence && !confined ? open_file(evidence, O_WRONLY | O_APPEND) : -1;
    if (file < 0)
        return;
    if (may_grow(file))
        syscall(SYS_write, file, record->text, record->used);
    syscall(SYS_close, file);
}
