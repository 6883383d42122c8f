/* What the dynamic loader does for a program, as evidence: every search for a GPU library, every
 * path tried, what was loaded, which of its symbols were bound or missed; and, where the program
 * calls the C library for it, opens of device files and programs started.
 *
 * The loader loads this module into each process that has it in LD_AUDIT, in a namespace of its own:
 * the program sees neither it nor the C library that it uses. It appends one JSON line an event to
 * the testbed's evidence.jsonl, in one write: see emulator/doctor/events.py, which reads them. Where
 * the testbed has a file `redirect`, libraries that are asked for by a path are the testbed's, and
 * those by name whatever LD_LIBRARY_PATH has become; where there is something in it, those of other
 * folders are passed over, too.
 *
 * Nothing here takes memory or a lock (but where a library is asked for a function, which takes one
 * itself): these functions run anywhere, also between vfork and exec. Nor is anything here a point
 * of cancellation, hence syscall() in place of open(), read() and write(). This module's errno is
 * its own, not the program's. */
#define _GNU_SOURCE
#include "audit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* What tells why a program may find other GPUs than another; those that may be long come last. */
static const char *const variables[] = {"CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES",
                                        "NVIDIA_VISIBLE_DEVICES", "LD_PRELOAD", "LD_LIBRARY_PATH"};

static char redirected[2][PATH_MAX + 64]; /* the paths to load instead, by library; or "" */
static int exclusive;                     /* whether libraries of other folders are passed over */
static char **arguments;                  /* of the program */

/* ---- the loader's objects: a cookie is the address of one's link map and, in the lowest bits, why
 * bindings to its symbols are looked at ---- */

enum { OURS, PLAIN, GPU, LIBC, MASK = 3 };

static struct link_map *map_of(const uintptr_t *cookie)
{
    return (struct link_map *)(*cookie & ~(uintptr_t)MASK);
}

/* What a library that is asked for is exchanged for; NULL for nothing. Of plain names it
 * is the SONAME, as the program may have changed LD_LIBRARY_PATH; not where the testbed lacks it. */
static char *instead_of(const char *name)
{
    int library = is_ours(name) ? -1 : library_of(name);
    if (library < 0 || !*redirected[library])
        return NULL;
    if (!strchr(name, '/') &&
        (strcmp(name, soname_of_library(library)) || access(redirected[library], F_OK)))
        return NULL;
    return redirected[library];
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
    char *instead = instead_of(name);
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
    const char *pairs[COUNT(variables)][2];
    for (size_t i = 0; i < COUNT(variables); i++) {
        pairs[i][0] = variables[i];
        pairs[i][1] = getenv(variables[i]);
    }
    add_pairs(&record, "environment", (const char *const (*)[2])pairs, COUNT(pairs));
    record.full = sizeof text - REST;
    add_list(&record, "argv", arguments);
    end(&record);
}

EXPORT unsigned int la_version(unsigned int version)
{
    char path[PATH_MAX + 32];
    const char *named = secure_getenv("NVEMU_TESTBED");
    if (!named || *named != '/' || strlen(named) >= PATH_MAX)
        return 0; /* the loader forgets this module */
    strcpy(testbed, named);
    snprintf(evidence, PATH_MAX + 32, "%s/evidence.jsonl", testbed);
    if (access(evidence, W_OK))
        *evidence = 0;
    snprintf(path, sizeof path, "%s/redirect", testbed);
    struct stat status;
    int redirects = !stat(path, &status);
    exclusive = redirects && status.st_size > 0;
    for (int i = 0; redirects && soname_of_library(i); i++)
        snprintf(redirected[i], sizeof *redirected, "%s/lib/%s", testbed, soname_of_library(i));
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
