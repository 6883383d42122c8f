/* What the dynamic loader does for a program, as evidence: every search for a GPU library, every
 * path tried, what was loaded, which of its symbols were bound or missed; and, where the program
 * calls the C library for it, opens of device files and programs started.
 *
 * The loader loads this module into each process that has it in LD_AUDIT, in a namespace of its own:
 * the program sees neither it nor the C library that it uses. It appends one JSON line an event to
 * the testbed's evidence.jsonl, in one write: see emulator/doctor/events.py, which reads them. Where
 * the testbed has a file `redirect`, libraries that are asked for by a path are the testbed's; where
 * there is something in it, those of other folders are passed over, too.
 *
 * Nothing here takes memory or a lock (but where a library is asked for a function, which takes one
 * itself): these functions run anywhere, also between vfork and exec. Nor is anything here a point
 * of cancellation, hence syscall() in place of open(), read() and write(). This module's errno is
 * its own, not the program's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Without a folder before it, the name of a file that has to do with GPUs contains one of these. */
static const char *const telling[] = {"nvidia", "cuda",   "cublas", "cudnn", "cufft",   "curand",
                                      "cusolver", "cusparse", "cupti", "nccl", "nvrtc",
                                      "nvJitLink", "nvml",     "nvToolsExt"};

/* What lies here has to do with GPUs, whatever its name. */
static const char *const places[] = {"/dev/nvidia",      "/proc/driver/nvidia",
                                     "/sys/bus/pci",     "/sys/devices/pci",
                                     "/sys/module/nvidia", "/sys/class/drm", "/dev/dri"};

/* What tells why a program may find other GPUs than another; those that may be long come last. */
static const char *const variables[] = {"CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES",
                                        "NVIDIA_VISIBLE_DEVICES", "LD_PRELOAD", "LD_LIBRARY_PATH"};

static const struct library {
    const char *base; /* of its file names, and of its SONAME */
    const char *soname;
} libraries[] = {{"libnvidia-ml.so", "libnvidia-ml.so.1"}, {"libcuda.so", "libcuda.so.1"}};

static char testbed[PATH_MAX], evidence[PATH_MAX + 32];
static char redirected[COUNT(libraries)][PATH_MAX + 64]; /* the paths to load instead; or "" */
static int exclusive; /* whether libraries of other folders are passed over */
static atomic_int confined; /* by seccomp, which may end the process for opening a file */
static char **arguments; /* of the program */

/* ---- one record ---- */

struct record {
    char *text;
    size_t used, full;
};

/* REST is free behind what is full, for the names and brackets that close a record: texts end there
 * and lists have no more items, so that a record which is cut short is JSON all the same. The text
 * is on the stack of a thread, which may have 16 KiB in all. */
enum { REST = 512 };
#define RECORD(name)                                                                               \
    char name##_text[4096];                                                                        \
    struct record name = {.text = name##_text, .full = sizeof name##_text - REST}

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

/* A list of texts, up to NULL. */
static void put_list(struct record *record, char *const *texts)
{
    put(record, "[");
    for (size_t i = 0; texts && texts[i] && record->used < record->full; i++) {
        put(record, i ? ", " : "");
        put_text(record, texts[i]);
    }
    put(record, "]");
}

static void put_key(struct record *record, const char *key)
{
    put(record, ", \"");
    put(record, key);
    put(record, "\": ");
}

static void add(struct record *record, const char *key, const char *value)
{
    put_key(record, key);
    if (value)
        put_text(record, value);
    else
        put(record, "null");
}

static void add_truth(struct record *record, const char *key, int value)
{
    put_key(record, key);
    put(record, value ? "true" : "false");
}

static void add_number(struct record *record, const char *key, long value)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", value);
    put_key(record, key);
    put(record, text);
}

static void begin(struct record *record, const char *event)
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
static void end(struct record *record)
{
    put(record, "}\n");
    int file = *evidence && !confined ? open_file(evidence, O_WRONLY | O_APPEND) : -1;
    if (file < 0)
        return;
    if (may_grow(file))
        syscall(SYS_write, file, record->text, record->used);
    syscall(SYS_close, file);
}

/* ---- what concerns us ---- */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int begins(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

/* Whether a path leads into the testbed. */
static int is_ours(const char *path)
{
    return begins(path, testbed) && path[strlen(testbed)] == '/';
}

/* A library that has to do with GPUs. */
static int is_telling(const char *path)
{
    for (size_t i = 0; i < COUNT(telling); i++)
        if (strstr(file_name(path), telling[i]))
            return 1;
    return 0;
}

/* Any other file that has, or such a library: but not what nvemu itself looks at. */
static int is_telling_file(const char *path)
{
    const char *name = file_name(path);
    for (size_t i = 0; i < COUNT(places); i++)
        if (begins(path, places[i]))
            return 1;
    if (is_ours(path))
        return 0;
    return begins(name, "nvidia-") || (begins(name, "lib") && strstr(name, ".so") && is_telling(name));
}

/* The number of the library that has such a name; -1 for any other file. */
static int library_of(const char *name)
{
    for (size_t i = 0; i < COUNT(libraries); i++) {
        const char *rest = file_name(name) + strlen(libraries[i].base);
        if (begins(file_name(name), libraries[i].base) && (!*rest || *rest == '.'))
            return (int)i;
    }
    return -1;
}

/* What the loader would make of a file. */
static const char *state_of(const char *path)
{
    unsigned char head[20] = {0};
    char link[1];
    int file = open_file(path, O_RDONLY | O_NONBLOCK);
    if (file < 0)
        return errno == EACCES                       ? "unreadable"
               : readlink(path, link, sizeof link) > 0 ? "broken-symlink"
                                                       : "absent";
    ssize_t size = syscall(SYS_read, file, head, sizeof head);
    syscall(SYS_close, file);
    if (size < 0)
        return "not-elf"; /* a folder */
    if (!size)
        return "empty";
    if (size < (ssize_t)sizeof head || memcmp(head, ELFMAG, SELFMAG))
        return "not-elf";
    if (head[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
        return "wrong-class";
#if defined __x86_64__
    const unsigned char machine = EM_X86_64;
#elif defined __aarch64__
    const unsigned char machine = EM_AARCH64;
#else
    const unsigned char machine = head[18];
#endif
    return head[18] == machine ? "library" : "wrong-class";
}

/* ---- the loader's objects: a cookie is the address of one's link map and, in the lowest bits, why
 * bindings to its symbols are looked at ---- */

enum { OURS, PLAIN, GPU, LIBC, MASK = 3 };

static struct link_map *map_of(const uintptr_t *cookie)
{
    return (struct link_map *)(*cookie & ~(uintptr_t)MASK);
}

/* The path of an object; NULL for the program itself. */
static const char *path_of(const struct link_map *map)
{
    return map && *map->l_name ? map->l_name : NULL;
}

/* The value of an object's dynamic entry; 0 where there is none. */
static uintptr_t entry_of(const struct link_map *map, ElfW(Sxword) tag)
{
    for (const ElfW(Dyn) *entry = map->l_ld; entry && entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return entry->d_un.d_val;
    return 0;
}

/* What such an entry points to: some are relocated, others are not. */
static const void *table_of(const struct link_map *map, ElfW(Sxword) tag)
{
    uintptr_t address = entry_of(map, tag);
    return (const void *)(address && address < map->l_addr ? map->l_addr + address : address);
}

static const char *soname_of(const struct link_map *map)
{
    const char *texts = table_of(map, DT_STRTAB);
    uintptr_t soname = entry_of(map, DT_SONAME);
    return texts && soname ? texts + soname : NULL;
}

/* The address of a function that an object exports; NULL where it has none. */
static const void *function_of(const struct link_map *map, const char *name)
{
    const ElfW(Sym) *symbols = table_of(map, DT_SYMTAB);
    const char *texts = table_of(map, DT_STRTAB);
    const uint32_t *hashes = table_of(map, DT_GNU_HASH); /* counts, bloom filter, buckets, chains */
    uint32_t hash = 5381;
    if (!symbols || !texts || !hashes || !hashes[0])
        return NULL;
    for (const char *letter = name; *letter; letter++)
        hash = hash * 33 + (unsigned char)*letter;
    const uint32_t *buckets = hashes + 4 + hashes[2] * (sizeof(ElfW(Addr)) / sizeof *hashes);
    const uint32_t *chains = buckets + hashes[0] - hashes[1];
    for (uint32_t i = buckets[hash % hashes[0]]; i; i = chains[i] & 1 ? 0 : i + 1)
        if ((chains[i] | 1) == (hash | 1) && !strcmp(texts + symbols[i].st_name, name))
            return (const void *)(map->l_addr + symbols[i].st_value);
    return NULL;
}

/* What the program's own C library has: this module has another. */
static struct {
    int *(*errno_location)(void);
    char *(*getenv)(const char *);
    int (*execv)(const char *, char *const *);
    int (*execvp)(const char *, char *const *);
    int (*execve)(const char *, char *const *, char *const *);
} theirs;

static void find_theirs(const struct link_map *libc)
{
    theirs.errno_location = (int *(*)(void))function_of(libc, "__errno_location");
    theirs.getenv = (char *(*)(const char *))function_of(libc, "getenv");
    theirs.execv = (int (*)(const char *, char *const *))function_of(libc, "execv");
    theirs.execvp = (int (*)(const char *, char *const *))function_of(libc, "execvp");
    theirs.execve =
        (int (*)(const char *, char *const *, char *const *))function_of(libc, "execve");
}

EXPORT char *la_objsearch(const char *name, uintptr_t *cookie, unsigned int how)
{
    static const char *const ways[] = {[LA_SER_LIBPATH] = "LD_LIBRARY_PATH",
                                       [LA_SER_RUNPATH] = "RUNPATH",
                                       [LA_SER_CONFIG] = "ld.so.cache",
                                       [LA_SER_DEFAULT] = "default folders"};
    RECORD(record);
    if (!is_telling(name))
        return (char *)name;
    if (how != LA_SER_ORIG) {
        int passed = exclusive && library_of(name) >= 0 && !is_ours(name);
        begin(&record, "try");
        add(&record, "path", name);
        add(&record, "how", how < COUNT(ways) && ways[how] ? ways[how] : "secure folders");
        add(&record, "file", passed ? "passed-over" : state_of(name));
        end(&record);
        return passed ? NULL : (char *)name;
    }
    int library = strchr(name, '/') && !is_ours(name) ? library_of(name) : -1;
    char *instead = library >= 0 && *redirected[library] ? redirected[library] : NULL;
    begin(&record, "search");
    add(&record, "name", name);
    add(&record, "by", path_of(map_of(cookie)));
    if (strchr(name, '/'))
        add(&record, "file", state_of(name));
    if (instead)
        add(&record, "redirected", instead);
    end(&record);
    return instead ? instead : (char *)name;
}

EXPORT unsigned int la_objopen(struct link_map *map, Lmid_t namespace, uintptr_t *cookie)
{
    const char *soname = soname_of(map), *named = soname ? soname : map->l_name;
    int concerned = library_of(named) >= 0 || library_of(map->l_name) >= 0;
    int libc = namespace == LM_ID_BASE && begins(file_name(named), "libc.so");
    int calls = *evidence && (libc || (namespace == LM_ID_BASE && /* dlsym, before glibc 2.34 */
                                       begins(file_name(named), "libdl.so")));
    if (libc)
        find_theirs(map);
    *cookie = (uintptr_t)map | (concerned ? GPU : calls ? LIBC : PLAIN);
    if (concerned || is_telling(map->l_name)) {
        RECORD(record);
        begin(&record, "load");
        add(&record, "path", map->l_name);
        add(&record, "soname", soname);
        end(&record);
    }
    return LA_FLG_BINDFROM | (concerned || calls ? LA_FLG_BINDTO : 0);
}

EXPORT unsigned int la_objclose(uintptr_t *cookie)
{
    const char *path = path_of(map_of(cookie));
    if (path && ((*cookie & MASK) == GPU || is_telling(path))) {
        RECORD(record);
        begin(&record, "unload");
        add(&record, "path", path);
        end(&record);
    }
    return 0;
}

/* ---- calls of the C library that are looked at: whoever binds one of these is given ours ---- */

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
    put_key(&record, "argv");
    put_list(&record, words);
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

/* What is given out in place of a function. Of two versions of it, only the first is looked at. */
static uintptr_t watch(const char *name, uintptr_t address)
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

EXPORT uintptr_t la_symbind64(ElfW(Sym) *symbol, unsigned int number, uintptr_t *from,
                              uintptr_t *to, unsigned int *flags, const char *name)
{
    (void)number;
    if ((*to & MASK) == LIBC)
        return watch(name, symbol->st_value);
    int noted = (*from & MASK) == OURS; /* watched_dlsym does it */
    if ((*to & MASK) == GPU && !noted && map_of(from) != map_of(to)) {
        RECORD(record);
        begin(&record, "symbol");
        add(&record, "name", name);
        add(&record, "library", map_of(to)->l_name);
        add(&record, "by", path_of(map_of(from)));
        add_truth(&record, "found", 1);
        add_truth(&record, "dlsym", !!(*flags & LA_SYMB_DLSYM));
        end(&record);
    }
    return symbol->st_value;
}

/* ---- a process ---- */

__attribute__((constructor)) static void keep_arguments(int count, char **words)
{
    (void)count;
    arguments = words;
}

static void note_start(void)
{
    char exe[PATH_MAX];
    static char text[1 << 16];
    struct record record = {.text = text, .full = sizeof text / 2};
    begin(&record, "start");
    add_number(&record, "parent", getppid());
    ssize_t size = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[size < 0 ? 0 : size] = 0;
    add(&record, "exe", size < 0 ? (const char *)getauxval(AT_EXECFN) : exe);
    put_key(&record, "environment");
    put(&record, "{");
    for (size_t i = 0, some = 0; i < COUNT(variables); i++) {
        const char *value = getenv(variables[i]);
        if (!value)
            continue;
        put(&record, some++ ? ", \"" : "\"");
        put(&record, variables[i]);
        put(&record, "\": ");
        put_text(&record, value);
    }
    put(&record, "}");
    put_key(&record, "argv");
    record.full = sizeof text - REST;
    put_list(&record, arguments);
    end(&record);
}

EXPORT unsigned int la_version(unsigned int version)
{
    char path[PATH_MAX + 32];
    const char *named = secure_getenv("NVEMU_TESTBED");
    if (!named || *named != '/' || strlen(named) >= sizeof testbed)
        return 0; /* the loader forgets this module */
    strcpy(testbed, named);
    snprintf(evidence, sizeof evidence, "%s/evidence.jsonl", testbed);
    if (access(evidence, W_OK))
        *evidence = 0;
    snprintf(path, sizeof path, "%s/redirect", testbed);
    struct stat status;
    int redirects = !stat(path, &status);
    exclusive = redirects && status.st_size > 0;
    for (size_t i = 0; redirects && i < COUNT(libraries); i++)
        snprintf(redirected[i], sizeof redirected[i], "%s/lib/%s", testbed, libraries[i].soname);
    if (!*evidence && !redirects)
        return 0;
    note_start();
    return version < LAV_CURRENT ? version : LAV_CURRENT;
}

__attribute__((destructor)) static void note_end(void)
{
    RECORD(record);
    if (!*evidence)
        return;
    begin(&record, "end");
    end(&record);
}
