/* Calls of the C library that are looked at: of files, of programs that are started, and dlsym, which
 * alone knows of functions that were asked for in vain. */
#define _GNU_SOURCE
#include "audit.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What the program's own C library has: this module has another. */
static struct {
    int *(*errno_location)(void);
    char *(*getenv)(const char *);
    int (*execv)(const char *, char *const *);
    int (*execvp)(const char *, char *const *);
    int (*execve)(const char *, char *const *, char *const *);
} theirs;

void find_theirs(const struct link_map *libc)
{
    theirs.errno_location = (int *(*)(void))function_of(libc, "__errno_location");
    theirs.getenv = (char *(*)(const char *))function_of(libc, "getenv");
    theirs.execv = (int (*)(const char *, char *const *))function_of(libc, "execv");
    theirs.execvp = (int (*)(const char *, char *const *))function_of(libc, "execvp");
    theirs.execve =
        (int (*)(const char *, char *const *, char *const *))function_of(libc, "execve");
}

typedef uintptr_t word;
typedef word (*function)(word, word, word, word, word, word);

/* Whether there is memory: the kernel reads a futex before it does not wait. Calls that are given a
 * pointer which leads nowhere are to fail with EFAULT, and not to crash here. */
static int is_memory(const void *address)
{
    struct timespec none = {0, 0};
    const void *word = (const void *)((uintptr_t)address & ~(uintptr_t)3);
    long result = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0x6e766d75, &none, NULL, 0);
    return result >= 0 || errno != EFAULT;
}

/* Whether a text can be read to its end. */
static int is_readable(const char *text)
{
    enum { PAGE = 4096 };
    for (size_t rest; text && is_memory(text); text += rest) {
        rest = PAGE - (uintptr_t)text % PAGE;
        if (memchr(text, 0, rest))
            return 1;
    }
    return 0;
}

static int are_readable(char *const *texts)
{
    for (; texts; texts++) {
        if (!is_memory(texts))
            return 0;
        if (!*texts)
            break;
        if (!is_readable(*texts))
            return 0;
    }
    return 1;
}

static __attribute__((noinline)) void write_file(const char *call, const char *path, int found)
{
    RECORD(record);
    begin(&record, "file");
    add(&record, "call", call);
    add(&record, "path", path);
    add_truth(&record, "found", found);
    end(&record);
}

static void note_file(const char *call, const char *path, int found)
{
    int known = found || (theirs.errno_location && *theirs.errno_location() == ENOENT);
    if (path && (known || is_readable(path)) && is_telling_file(path))
        write_file(call, path, found);
}

static int is_program(const char *path)
{
    struct stat status;
    return !stat(path, &status) && S_ISREG(status.st_mode) && !access(path, X_OK);
}

/* Whether a program is there: at its path or, for a name alone, in a folder of PATH. */
static __attribute__((noinline)) int is_there(const char *program)
{
    char path[PATH_MAX];
    const char *folder = theirs.getenv ? theirs.getenv("PATH") : NULL;
    if (!folder)
        folder = "/bin:/usr/bin"; /* as execvp has it */
    if (strchr(program, '/'))
        return is_program(program);
    for (size_t size; folder; folder = folder[size] ? folder + size + 1 : NULL) {
        size = strcspn(folder, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)(size ? size : 1), size ? folder : ".", program);
        if (is_program(path))
            return 1;
    }
    return 0;
}

static __attribute__((noinline)) void write_exec(const char *path, char *const *words, int found)
{
    RECORD(record);
    begin(&record, "exec");
    add(&record, "path", path);
    add_truth(&record, "found", found);
    add_list(&record, "argv", words);
    end(&record);
}

/* Some other program that is not there is one which is looked for along PATH. */
static void note_exec(const char *path, char *const *words)
{
    if (!is_readable(path) || !are_readable(words))
        return;
    int found = is_there(path);
    if (found || is_telling_file(path))
        write_exec(path, words, found);
}

static void note_fork(void)
{
    RECORD(record);
    begin(&record, "fork");
    add_number(&record, "parent", getppid());
    end(&record);
}

static const struct link_map *object_at(const void *address)
{
    struct link_map *map = NULL;
    Dl_info unused;
    return dladdr1(address, &unused, (void **)&map, RTLD_DL_LINKMAP) ? map : NULL;
}

/* A function that was asked for by name, of the object `handle` or of what it needs. */
static void note_symbol(const void *handle, const char *name, const void *found, const void *caller)
{
    if (!begins(name, "nvml") && !begins(name, "cu"))
        return;
    const struct link_map *map = found ? object_at(found) : handle;
    const char *soname = map ? soname_of(map) : NULL;
    if (!map || (library_of(map->l_name) < 0 && (!soname || library_of(soname) < 0)))
        return;
    RECORD(record);
    begin(&record, "symbol");
    add(&record, "name", name);
    add(&record, "library", map->l_name);
    add(&record, "by", path_of(object_at(caller)));
    add_truth(&record, "found", !!found);
    add_truth(&record, "dlsym", 1);
    end(&record);
}

/* Those that take a path: the number of that argument, and whether a result of NULL is a failure (of
 * the others, it is one below 0; glob's is one above it). What headers call with _FORTIFY_SOURCE
 * begins with __, as does what they called for stat before glibc 2.33. */
#define FILES(X)                                                                                   \
    X(open, 0, 0) X(open64, 0, 0) X(openat, 1, 0) X(openat64, 1, 0) X(fopen, 0, 1)                 \
    X(fopen64, 0, 1) X(opendir, 0, 1) X(scandir, 0, 0) X(scandir64, 0, 0) X(access, 0, 0)          \
    X(faccessat, 1, 0) X(stat, 0, 0) X(stat64, 0, 0) X(lstat, 0, 0) X(lstat64, 0, 0)               \
    X(fstatat, 1, 0) X(fstatat64, 1, 0) X(statx, 1, 0) X(__xstat, 1, 0) X(__xstat64, 1, 0)         \
    X(__lxstat, 1, 0) X(__lxstat64, 1, 0) X(__fxstatat, 2, 0) X(__fxstatat64, 2, 0)                \
    X(readlink, 0, 0) X(readlinkat, 1, 0) X(realpath, 0, 1) X(glob, 0, 2) X(glob64, 0, 2)          \
    X(__open_2, 0, 0) X(__open64_2, 0, 0) X(__openat_2, 1, 0) X(__openat64_2, 1, 0)                \
    X(__readlink_chk, 0, 0) X(__readlinkat_chk, 1, 0) X(__realpath_chk, 0, 1)
/* Those that start a program: the numbers of its path and its arguments. */
#define STARTS(X)                                                                                  \
    X(execve, 0, 1) X(execv, 0, 1) X(execvp, 0, 1) X(execvpe, 0, 1) X(posix_spawn, 1, 4)           \
    X(posix_spawnp, 1, 4)
/* Those that are given the arguments one by one: what does the same with an array. */
#define LISTS(X) X(execl, execv) X(execlp, execvp)

#define NUMBER(name, ...) number_##name,
enum {
    FILES(NUMBER) STARTS(NUMBER) LISTS(NUMBER) number_execle,
    number_fork,
    number_dlsym,
    number_prctl,
    number_syscall,
    WATCHED
};
static _Atomic(function) real[WATCHED];

static int failed(word result, int kind)
{
    return kind == 1 ? !result : kind == 2 ? (int)result > 0 : (int)result < 0;
}

#define FILE_CALL(name, path, kind)                                                                \
    static word watched_##name(word a, word b, word c, word d, word e, word f)                     \
    {                                                                                              \
        word given[] = {a, b, c, d}, result = real[number_##name](a, b, c, d, e, f);               \
        if (given[path] != given[path + 1]) /* else the link's text replaces its path */           \
            note_file(#name, (const char *)given[path], !failed(result, kind));                    \
        return result;                                                                             \
    }
FILES(FILE_CALL)

#define START_CALL(name, path, argv)                                                               \
    static word watched_##name(word a, word b, word c, word d, word e, word f)                     \
    {                                                                                              \
        word given[] = {a, b, c, d, e, f};                                                         \
        note_exec((const char *)given[path], (char *const *)given[argv]);                          \
        return real[number_##name](a, b, c, d, e, f);                                              \
    }
STARTS(START_CALL)

static word watched_fork(word a, word b, word c, word d, word e, word f)
{
    word result = real[number_fork](a, b, c, d, e, f);
    if (!(int)result)
        note_fork();
    return result;
}

/* The number of words up to NULL, which is one of them. */
static size_t count_of(const char *first, va_list rest)
{
    size_t count = 1;
    for (const char *word = first; word; word = va_arg(rest, const char *))
        count++;
    return count;
}

#define COLLECT(words, first)                                                                      \
    va_list rest;                                                                                  \
    va_start(rest, first);                                                                         \
    size_t count = count_of(first, rest);                                                          \
    va_end(rest);                                                                                  \
    const char *words[count];                                                                      \
    va_start(rest, first);                                                                         \
    words[0] = first;                                                                              \
    for (size_t i = 1; i < count; i++)                                                             \
        words[i] = va_arg(rest, const char *);

#define LIST_CALL(name, array)                                                                     \
    static int watched_##name(const char *path, const char *first, ...)                            \
    {                                                                                              \
        COLLECT(words, first)                                                                      \
        va_end(rest);                                                                              \
        note_exec(path, (char *const *)words);                                                     \
        return theirs.array(path, (char *const *)words);                                           \
    }
LISTS(LIST_CALL)

static int watched_execle(const char *path, const char *first, ...)
{
    COLLECT(words, first)
    char *const *environment = va_arg(rest, char *const *);
    va_end(rest);
    note_exec(path, (char *const *)words);
    return theirs.execve(path, (char *const *)words, environment);
}

static word watched_dlsym(word handle, word name, word c, word d, word e, word f)
{
    /* Who called is found by the return address, which must be the caller's: a jump. */
    if (handle == (word)RTLD_DEFAULT || handle == (word)RTLD_NEXT)
        return real[number_dlsym](handle, name, c, d, e, f);
    word result = real[number_dlsym](handle, name, c, d, e, f);
    note_symbol((const void *)handle, (const char *)name, (const void *)result,
                __builtin_return_address(0));
    return result;
}

static word watched_prctl(word option, word mode, word c, word d, word e, word f)
{
    word result = real[number_prctl](option, mode, c, d, e, f);
    if ((int)option == PR_SET_SECCOMP && !(int)result)
        confined = 1;
    return result;
}

/* A jump for all others: some come back twice, or on another stack. */
static word watched_syscall(word number, word b, word c, word d, word e, word f, word g)
{
    word (*call)(word, word, word, word, word, word, word) = (void *)real[number_syscall];
    if (number != SYS_seccomp)
        return call(number, b, c, d, e, f, g);
    word result = call(number, b, c, d, e, f, g);
    if (b <= SECCOMP_SET_MODE_FILTER && (long)result >= 0)
        confined = 1;
    return result;
}

static const struct {
    const char *name;
    function ours;
} watched[WATCHED] = {
#define ENTRY(name, ...) [number_##name] = {#name, (function)(void *)watched_##name},
    FILES(ENTRY) STARTS(ENTRY) LISTS(ENTRY) ENTRY(execle) ENTRY(fork) ENTRY(dlsym) ENTRY(prctl)
        ENTRY(syscall)};

/* Of two versions of it, only the first is looked at. */
uintptr_t watch(const char *name, uintptr_t address)
{
    if (begins(name, "execl") && !(theirs.execv && theirs.execvp && theirs.execve))
        return address;
    for (int i = 0; i < WATCHED; i++)
        if (!strcmp(name, watched[i].name)) {
            function ours = watched[i].ours, none = NULL;
            int first = atomic_compare_exchange_strong(&real[i], &none, (function)address);
            return first || none == (function)address ? (uintptr_t)ours : address;
        }
    return address;
}
