/* Which files and loaded objects have to do with GPUs, and what they are. */
#define _GNU_SOURCE
#include "audit.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Without a folder before it, the name of a file that has to do with GPUs contains one of these. */
static const char *const telling[] = {"nvidia", "cuda",   "cublas", "cudnn", "cufft",   "curand",
                                      "cusolver", "cusparse", "cupti", "nccl", "nvrtc",
                                      "nvJitLink", "nvml",     "nvToolsExt"};

/* What lies here has to do with GPUs, whatever its name. */
static const char *const places[] = {"/dev/nvidia",      "/proc/driver/nvidia",
                                     "/sys/bus/pci",     "/sys/devices/pci",
                                     "/sys/module/nvidia", "/sys/class/drm", "/dev/dri"};

static const struct {
    const char *base; /* of its file names, and of its SONAME */
    const char *soname;
} libraries[] = {{"libnvidia-ml.so", "libnvidia-ml.so.1"}, {"libcuda.so", "libcuda.so.1"}};

char testbed[PATH_MAX];

const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int begins(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

int is_ours(const char *path)
{
    return begins(path, testbed) && path[strlen(testbed)] == '/';
}

int is_telling(const char *path)
{
    for (size_t i = 0; i < COUNT(telling); i++)
        if (strstr(file_name(path), telling[i]))
            return 1;
    return 0;
}

int is_telling_file(const char *path)
{
    const char *name = file_name(path);
    for (size_t i = 0; i < COUNT(places); i++)
        if (begins(path, places[i]))
            return 1;
    if (is_ours(path))
        return 0;
    return begins(name, "nvidia-") || (begins(name, "lib") && strstr(name, ".so") && is_telling(name));
}

int library_of(const char *name)
{
    for (size_t i = 0; i < COUNT(libraries); i++) {
        const char *rest = file_name(name) + strlen(libraries[i].base);
        if (begins(file_name(name), libraries[i].base) && (!*rest || *rest == '.'))
            return (int)i;
    }
    return -1;
}

const char *soname_of_library(int number)
{
    return number >= 0 && (size_t)number < COUNT(libraries) ? libraries[number].soname : NULL;
}

const char *state_of(const char *path)
{
    unsigned char head[20] = {0};
    char link[1];
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
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

const char *path_of(const struct link_map *map)
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

const char *soname_of(const struct link_map *map)
{
    const char *texts = table_of(map, DT_STRTAB);
    uintptr_t soname = entry_of(map, DT_SONAME);
    return texts && soname ? texts + soname : NULL;
}

const void *function_of(const struct link_map *map, const char *name)
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
