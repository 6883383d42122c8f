/* What the dynamic loader does for a program, as evidence: every search for a GPU library, every
 * path tried, what was loaded, which of its symbols were bound or missed; and, where the program
 * calls the C library for it, opens of device files and programs started.
 *
 * The loader loads this module into each process that has it in LD_AUDIT, in a namespace of its own:
 * the program sees neither it nor the C library that it uses. It appends one JSON line an event to
 * the testbed's evidence.jsonl, in one write: see emulator/doctor/events.py, which reads them. Where the
 * testbed has a file `redirect`, libraries that are asked for by a path are the testbed's; where there
 * is something in it, those of other folders are passed over, too.
 *
 * Nothing here takes memory or a lock: these functions run anywhere, also between vfork and exec. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* What tells why a program may find other GPUs than another. */
static const char *const variables[] = {
    "CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH",
    "LD_PRELOAD",        "NVIDIA_VISIBLE_DEVICES"};

static const struct library {
    const char *base; /* of its file names, and of its SONAME */
    const char *soname;
} libraries[] = {{"libnvidia-ml.so", "libnvidia-ml.so.1"}, {"libcuda.so", "libcuda.so.1"}};

static char testbed[PATH_MAX], evidence[PATH_MAX + 32];
static char redirected[COUNT(libraries)][PATH_MAX + 64]; /* the paths to load instead; or "" */
static int exclusive; /* whether libraries of other folders are passed over */

/* ---- one record ---- */

struct record {
    size_t used;
    char text[8192];
};

enum { TAIL = 32 }; /* bytes kept free to close what is open */

static void put(struct record *record, const char *text)
{
    size_t size = strlen(text);
    if (record->used + size < sizeof record->text - TAIL / 2) {
        memcpy(record->text + record->used, text, size);
        record->used += size;
    }
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
    while (*text && record->used < sizeof record->text - TAIL) {
        char escaped[8];
        size_t size = sequence((const unsigned char *)text);
        if (!size)
            snprintf(escaped, sizeof escaped, "\\ufffd");
        else if (*text == '"' || *text == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", *text);
        else
            snprintf(escaped, sizeof escaped, "%.*s", (int)size, text);
        put(record, escaped);
        text += size ? size : 1;
    }
    put(record, "\"");
}

static void put_key(struct record *record, const char *key)
{
    put(record, ", ");
    put_text(record, key);
    put(record, ": ");
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
    record->used = 0;
    snprintf(text, sizeof text, "{\"t\": %lld%09ld, \"pid\": %d, \"tid\": %ld, \"event\": \"%s\"",
             (long long)now.tv_sec, now.tv_nsec, getpid(), syscall(SYS_gettid), event);
    put(record, text);
}

/* The file is opened for each record: a number kept open would be the program's own file once it
 * closed all that it did not open. */
static void end(struct record *record)
{
    memcpy(record->text + record->used, "}\n", 2);
    int file = *evidence ? open(evidence, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    while (write(file, record->text, record->used + 2) < 0 && errno == EINTR)
        ;
    close(file);
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
    if (begins(path, testbed))
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
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return errno == EACCES                       ? "unreadable"
               : readlink(path, link, sizeof link) > 0 ? "broken-symlink"
                                                       : "absent";
    ssize_t size = read(file, head, sizeof head);
    close(file);
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

enum { PLAIN, GPU, LIBC, MASK = 3 };

static struct link_map *map_of(const uintptr_t *cookie)
{
    return (struct link_map *)(*cookie & ~(uintptr_t)MASK);
}

static const char *path_of(const uintptr_t *cookie)
{
    const struct link_map *map = map_of(cookie); /* none: this module, which calls dlsym for others */
    return map && *map->l_name ? map->l_name : NULL; /* none: the program itself */
}

static const char *soname_of(const struct link_map *map)
{
    uintptr_t texts = 0, soname = 0;
    for (const ElfW(Dyn) *entry = map->l_ld; entry && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_STRTAB)
            texts = entry->d_un.d_ptr;
        if (entry->d_tag == DT_SONAME)
            soname = entry->d_un.d_val;
    }
    if (!texts || !soname)
        return NULL;
    return (const char *)(texts < map->l_addr ? map->l_addr + texts : texts) + soname;
}

EXPORT char *la_objsearch(const char *name, uintptr_t *cookie, unsigned int how)
{
    static const char *const ways[] = {[LA_SER_LIBPATH] = "LD_LIBRARY_PATH",
                                       [LA_SER_RUNPATH] = "RUNPATH",
                                       [LA_SER_CONFIG] = "ld.so.cache",
                                       [LA_SER_DEFAULT] = "default folders"};
    struct record record;
    if (!is_telling(name))
        return (char *)name;
    if (how != LA_SER_ORIG) {
        int passed = exclusive && library_of(name) >= 0 && !begins(name, testbed);
        begin(&record, "try");
        add(&record, "path", name);
        add(&record, "how", how < COUNT(ways) && ways[how] ? ways[how] : "secure folders");
        add(&record, "file", passed ? "passed-over" : state_of(name));
        end(&record);
        return passed ? NULL : (char *)name;
    }
    int library = strchr(name, '/') && !begins(name, testbed) ? library_of(name) : -1;
    char *instead = library >= 0 && *redirected[library] ? redirected[library] : NULL;
    begin(&record, "search");
    add(&record, "name", name);
    add(&record, "by", path_of(cookie));
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
    int libc = namespace == LM_ID_BASE && (begins(file_name(named), "libc.so") ||
                                           begins(file_name(named), "libdl.so"));
    *cookie = (uintptr_t)map | (concerned ? GPU : libc ? LIBC : PLAIN);
    if (concerned || is_telling(map->l_name)) {
        struct record record;
        begin(&record, "load");
        add(&record, "path", map->l_name);
        add(&record, "soname", soname);
        end(&record);
    }
    return LA_FLG_BINDFROM | (concerned || libc ? LA_FLG_BINDTO : 0);
}

EXPORT unsigned int la_objclose(uintptr_t *cookie)
{
    const char *path = path_of(cookie);
    if (path && ((*cookie & MASK) == GPU || is_telling(path))) {
        struct record record;
        begin(&record, "unload");
        add(&record, "path", path);
        end(&record);
    }
    return 0;
}

/* ---- calls of the C library that are looked at: whoever binds one of these is given ours ---- */

typedef uintptr_t word;
typedef word (*function)(word, word, word, word, word, word);

static void note_file(const char *call, const char *path, int found)
{
    if (!path || !is_telling_file(path))
        return;
    struct record record;
    begin(&record, "file");
    add(&record, "call", call);
    add(&record, "path", path);
    add_truth(&record, "found", found);
    end(&record);
}

/* Whether a program is there: at its path or, for a name alone, in a folder of PATH. */
static int is_there(const char *program)
{
    char path[PATH_MAX];
    const char *folder = getenv("PATH");
    if (strchr(program, '/'))
        return !access(program, X_OK);
    for (size_t size; folder; folder = folder[size] ? folder + size + 1 : NULL) {
        size = strcspn(folder, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)size, folder, program);
        if (!access(path, X_OK))
            return 1;
    }
    return 0;
}

static void note_exec(const char *path, char *const *arguments)
{
    int found = path && is_there(path);
    if (!path || (!found && !is_telling_file(path)))
        return; /* some other program, looked for along PATH */
    struct record record;
    begin(&record, "exec");
    add(&record, "path", path);
    add_truth(&record, "found", found);
    put_key(&record, "argv");
    put(&record, "[");
    for (size_t i = 0; arguments && arguments[i]; i++) {
        put(&record, i ? ", " : "");
        put_text(&record, arguments[i]);
    }
    put(&record, "]");
    end(&record);
}

static void note_fork(void)
{
    struct record record;
    begin(&record, "fork");
    add_number(&record, "parent", getppid());
    end(&record);
}

/* Not to be given to handles that stand for a caller: who called is found by the return address. */
static void note_symbol(word handle, const char *name)
{
    if (!begins(name, "nvml") && !begins(name, "cu"))
        return;
    const struct link_map *map = (const struct link_map *)handle;
    const char *soname = soname_of(map);
    if (library_of(map->l_name) < 0 && (!soname || library_of(soname) < 0))
        return;
    struct record record;
    begin(&record, "symbol");
    add(&record, "name", name);
    add(&record, "library", map->l_name);
    add(&record, "by", NULL);
    add_truth(&record, "found", 0);
    end(&record);
}

/* Those that take a path: the number of that argument, and whether a result of NULL is a failure (of
 * the others, it is one below 0; glob's is one above it). */
#define FILES(X)                                                                                   \
    X(open, 0, 0) X(open64, 0, 0) X(openat, 1, 0) X(openat64, 1, 0) X(fopen, 0, 1)                 \
    X(fopen64, 0, 1) X(opendir, 0, 1) X(scandir, 0, 0) X(scandir64, 0, 0) X(access, 0, 0)          \
    X(faccessat, 1, 0) X(stat, 0, 0) X(stat64, 0, 0) X(lstat, 0, 0) X(lstat64, 0, 0)               \
    X(fstatat, 1, 0) X(fstatat64, 1, 0) X(statx, 1, 0) X(__xstat, 1, 0) X(__xstat64, 1, 0)         \
    X(__lxstat, 1, 0) X(__lxstat64, 1, 0) X(readlink, 0, 0) X(readlinkat, 1, 0)                    \
    X(realpath, 0, 1) X(glob, 0, 2) X(glob64, 0, 2)
/* Those that start a program: the numbers of its path and its arguments. */
#define STARTS(X)                                                                                  \
    X(execve, 0, 1) X(execv, 0, 1) X(execvp, 0, 1) X(execvpe, 0, 1) X(posix_spawn, 1, 4)           \
    X(posix_spawnp, 1, 4)

#define NUMBER(name, ...) number_##name,
enum { FILES(NUMBER) STARTS(NUMBER) number_fork, number_dlsym, WATCHED };
static _Atomic(function) real[WATCHED];

static int failed(word result, int kind)
{
    return kind == 1 ? !result : kind == 2 ? (int)result > 0 : (int)result < 0;
}

#define FILE_CALL(name, path, kind)                                                                \
    static word watched_##name(word a, word b, word c, word d, word e, word f)                     \
    {                                                                                              \
        word arguments[] = {a, b}, result = real[number_##name](a, b, c, d, e, f);                 \
        note_file(#name, (const char *)arguments[path], !failed(result, kind));                    \
        return result;                                                                             \
    }
FILES(FILE_CALL)

#define START_CALL(name, path, argv)                                                               \
    static word watched_##name(word a, word b, word c, word d, word e, word f)                     \
    {                                                                                              \
        word arguments[] = {a, b, c, d, e, f};                                                     \
        note_exec((const char *)arguments[path], (char *const *)arguments[argv]);                  \
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

static word watched_dlsym(word handle, word name, word c, word d, word e, word f)
{
    if (handle == (word)RTLD_DEFAULT || handle == (word)RTLD_NEXT) /* a jump: see note_symbol */
        return real[number_dlsym](handle, name, c, d, e, f);
    word result = real[number_dlsym](handle, name, c, d, e, f);
    if (!result)
        note_symbol(handle, (const char *)name);
    return result;
}

static const struct {
    const char *name;
    function ours;
} watched[WATCHED] = {
#define ENTRY(name, ...) [number_##name] = {#name, watched_##name},
    FILES(ENTRY) STARTS(ENTRY) ENTRY(fork) ENTRY(dlsym)};

static uintptr_t watch(const char *name, uintptr_t address)
{
    for (int i = 0; i < WATCHED; i++)
        if (!strcmp(name, watched[i].name)) {
            if (address != (uintptr_t)watched[i].ours)
                atomic_store(&real[i], (function)address);
            return (uintptr_t)watched[i].ours;
        }
    return address;
}

EXPORT uintptr_t la_symbind64(ElfW(Sym) *symbol, unsigned int number, uintptr_t *from,
                              uintptr_t *to, unsigned int *flags, const char *name)
{
    (void)number;
    if ((*to & MASK) == LIBC)
        return *evidence ? watch(name, symbol->st_value) : symbol->st_value;
    if ((*to & MASK) == GPU && map_of(from) != map_of(to)) {
        struct record record;
        begin(&record, "symbol");
        add(&record, "name", name);
        add(&record, "library", map_of(to)->l_name);
        add(&record, "by", path_of(from));
        add_truth(&record, "found", 1);
        add_truth(&record, "dlsym", !!(*flags & LA_SYMB_DLSYM));
        end(&record);
    }
    return symbol->st_value;
}

/* ---- a process ---- */

static void note_start(void)
{
    char text[4096];
    struct record record;
    begin(&record, "start");
    add_number(&record, "parent", getppid());
    ssize_t size = readlink("/proc/self/exe", text, sizeof text - 1);
    text[size < 0 ? 0 : size] = 0;
    add(&record, "exe", text);
    int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    size = file < 0 ? 0 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    size = size < 0 ? 0 : size;
    text[size] = 0;
    put_key(&record, "argv");
    put(&record, "[");
    for (const char *word = text; word < text + size; word += strlen(word) + 1) {
        put(&record, word == text ? "" : ", ");
        put_text(&record, word);
    }
    put(&record, "]");
    put_key(&record, "environment");
    put(&record, "{");
    for (size_t i = 0, some = 0; i < COUNT(variables); i++) {
        const char *value = getenv(variables[i]);
        if (!value)
            continue;
        put(&record, some++ ? ", " : "");
        put_text(&record, variables[i]);
        put(&record, ": ");
        put_text(&record, value);
    }
    put(&record, "}");
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
    struct record record;
    if (!*evidence)
        return;
    begin(&record, "end");
    end(&record);
}
