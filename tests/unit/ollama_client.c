/* Finds GPUs as Ollama did up to 0.12.3: the same calls in the same order (its
 * discover/gpu_info_nvcuda.c), on the library at the path given, opened anew for a second look at
 * the memory. One line a GPU, as its log has it; the reason where it gives up. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAJOR = 75, MINOR = 76 };

static struct {
    int (*cuInit)(unsigned);
    int (*cuDriverGetVersion)(int *);
    int (*cuDeviceGetCount)(int *);
    int (*cuDeviceGet)(int *, int);
    int (*cuDeviceGetAttribute)(int *, int, int);
    int (*cuDeviceGetUuid)(unsigned char *, int);
    int (*cuDeviceGetName)(char *, int, int);
    int (*cuCtxCreate_v3)(void **, void *, int, unsigned, int);
    int (*cuMemGetInfo_v2)(uint64_t *, uint64_t *);
    int (*cuCtxDestroy)(void *);
} api;

static const char *const names[] = {"cuInit",          "cuDriverGetVersion",   "cuDeviceGetCount",
                                    "cuDeviceGet",     "cuDeviceGetAttribute", "cuDeviceGetUuid",
                                    "cuDeviceGetName", "cuCtxCreate_v3",       "cuMemGetInfo_v2",
                                    "cuCtxDestroy"};

static void give_up(const char *what, int code)
{
    printf("%s: %d\n", what, code);
    exit(1);
}

static void *start(const char *path, int *devices)
{
    int code;
    void *library = dlopen(path, RTLD_LAZY);
    if (!library)
        give_up(dlerror(), -1);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (!(((void **)&api)[i] = dlsym(library, names[i])))
            give_up(names[i], -1);
    if ((code = api.cuInit(0)))
        give_up("cuda driver library init failure", code);
    int version = 0;
    if (!(code = api.cuDriverGetVersion(&version)))
        printf("driver %d.%d\n", version / 1000, version % 1000 / 10);
    if ((code = api.cuDeviceGetCount(devices)))
        give_up("unable to get device count", code);
    return library;
}

static void memory(int device, uint64_t *available, uint64_t *total)
{
    void *context = NULL;
    int code;
    if ((code = api.cuCtxCreate_v3(&context, NULL, 0, 0, device)))
        give_up("failed to get device context", code);
    if ((code = api.cuMemGetInfo_v2(available, total)))
        give_up("device memory info lookup failure", code);
    if ((code = api.cuCtxDestroy(context)))
        give_up("failed to release device context", code);
}

static void describe(int index)
{
    int device = -1, major = 0, minor = 0;
    unsigned char uuid[16] = {0};
    char name[96] = "";
    uint64_t available = 0, total = 0;
    if (api.cuDeviceGet(&device, index))
        give_up("device failed to initialize", index);
    if (!api.cuDeviceGetAttribute(&major, MAJOR, device))
        api.cuDeviceGetAttribute(&minor, MINOR, device);
    api.cuDeviceGetUuid(uuid, device);
    api.cuDeviceGetName(name, sizeof name, device);
    memory(device, &available, &total);
    printf("id=GPU-");
    for (int i = 0; i < 16; i++)
        printf(i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
    printf(" compute=%d.%d name=%s total=%llu available=%llu\n", major, minor, name,
           (unsigned long long)total, (unsigned long long)available);
}

int main(int count, char **arguments)
{
    int devices = 0, device = -1;
    uint64_t available = 0, total = 0;
    void *library = start(count > 1 ? arguments[1] : "libcuda.so.1", &devices);
    for (int i = 0; i < devices; i++)
        describe(i);
    dlclose(library);
    library = start(arguments[1], &devices);
    for (int i = 0; i < devices; i++) {
        if (api.cuDeviceGet(&device, i))
            give_up("device failed to initialize", i);
        memory(device, &available, &total);
        printf("again available=%llu\n", (unsigned long long)available);
    }
    dlclose(library);
    return 0;
}
