/* The driver's functions that the C clients call, found by name as programs without headers do. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef void *context, *stream, *event;
typedef uint64_t pointer;

#define FUNCTIONS(X) \
    X(init, cuInit, (unsigned flags)) \
    X(get_device, cuDeviceGet, (int *device, int ordinal)) \
    X(retain, cuDevicePrimaryCtxRetain, (context *made, int device)) \
    X(release, cuDevicePrimaryCtxRelease_v2, (int device)) \
    X(create, cuCtxCreate_v2, (context *made, unsigned flags, int device)) \
    X(destroy, cuCtxDestroy_v2, (context ended)) \
    X(set_current, cuCtxSetCurrent, (context current)) \
    X(get_current, cuCtxGetCurrent, (context *current)) \
    X(synchronize, cuCtxSynchronize, (void)) \
    X(memory, cuMemGetInfo_v2, (size_t *free, size_t *total)) \
    X(allocate, cuMemAlloc_v2, (pointer *made, size_t size)) \
    X(release_memory, cuMemFree_v2, (pointer freed)) \
    X(to_device, cuMemcpyHtoD_v2, (pointer to, const void *from, size_t size)) \
    X(to_host, cuMemcpyDtoH_v2, (void *to, pointer from, size_t size)) \
    X(to_device_later, cuMemcpyHtoDAsync_v2, (pointer to, const void *from, size_t size, stream in)) \
    X(between_later, cuMemcpyDtoDAsync_v2, (pointer to, pointer from, size_t size, stream in)) \
    X(to_host_later, cuMemcpyDtoHAsync_v2, (void *to, pointer from, size_t size, stream in)) \
    X(call_later, cuLaunchHostFunc, (stream in, void (*called)(void *), void *with)) \
    X(make_stream, cuStreamCreate, (stream *made, unsigned flags)) \
    X(end_stream, cuStreamDestroy_v2, (stream ended)) \
    X(wait_for_stream, cuStreamSynchronize, (stream in)) \
    X(make_event, cuEventCreate, (event *made, unsigned flags)) \
    X(end_event, cuEventDestroy_v2, (event ended)) \
    X(record, cuEventRecord, (event of, stream in)) \
    X(wait_for_event, cuEventSynchronize, (event of))

#define DECLARE(name, symbol, parameters) static int (*name) parameters;
FUNCTIONS(DECLARE)

#define CHECK(call) check((call), #call, __LINE__)

static void check(int code, const char *call, int line)
{
    if (code) {
        fprintf(stderr, "line %d: %s = %d\n", line, call, code);
        exit(1);
    }
}

static void *found(void *library, const char *symbol)
{
    void *function = dlsym(library, symbol);
    if (!function) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return function;
}

static void load(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
#define FIND(name, symbol, parameters) name = (int (*) parameters)found(library, #symbol);
    FUNCTIONS(FIND)
}
