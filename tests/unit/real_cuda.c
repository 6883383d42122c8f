/* What stands for a machine's real libcuda.so.1: it says what it is called with. */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct location { unsigned type; int id; };
struct memory { char reserved[64]; };
struct frame { union { void *array[3]; void *pitch[3]; } planes; unsigned rest[9]; };
typedef uintptr_t word;

int cuInit(unsigned flags)
{
    printf("real: cuInit(%u)\n", flags);
    return 0;
}

int cuDeviceGet(int *device, int ordinal)
{
    if (ordinal > 1)
        return 101;
    *device = ordinal;
    return 0;
}

int cuDeviceGetName(char *name, int length, int device)
{
    snprintf(name, length, "Real %d", device);
    return 0;
}

int cuTexRefSetMipmapLevelBias(void *texture, float bias)
{
    printf("real: cuTexRefSetMipmapLevelBias(%d, %a)\n", !!texture, bias);
    return 0;
}

int cuMemAdvise_v2(uint64_t pointer, size_t count, unsigned advice, struct location location)
{
    printf("real: cuMemAdvise_v2(%llx, %zu, %u, {%u, %d})\n", (unsigned long long)pointer, count,
           advice, location.type, location.id);
    return 0;
}

int cuIpcOpenMemHandle_v2(uint64_t *pointer, struct memory handle, unsigned flags)
{
    *pointer = 0x1122334455667788;
    printf("real: cuIpcOpenMemHandle_v2(%.64s, %u)\n", handle.reserved, flags);
    return 0;
}

int cuEGLStreamProducerPresentFrame(void *connection, struct frame frame, void **stream)
{
    printf("real: cuEGLStreamProducerPresentFrame(%d, {%td .. %u}, %d)\n", !!connection,
           (char *)frame.planes.array[2] - (char *)connection, frame.rest[8], !!stream);
    return 0;
}

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t both = PTHREAD_COND_INITIALIZER;
static int inside;

/* Returns when two threads are in it. */
int cuCtxSynchronize(void)
{
    pthread_mutex_lock(&one);
    inside++;
    pthread_cond_broadcast(&both);
    while (inside < 2)
        pthread_cond_wait(&both, &one);
    pthread_mutex_unlock(&one);
    return 0;
}

/* How many threads are in cuCtxSynchronize, or have been. */
int cuCtxGetFlags(unsigned *flags)
{
    pthread_mutex_lock(&one);
    *flags = inside;
    pthread_mutex_unlock(&one);
    return 0;
}

/* No header declares it. */
int cuMemGetAttribute(word a, word b, word c, word d, word e, word f, word g, word h, word i,
                      word j, word k, word l)
{
    printf("real: cuMemGetAttribute(%zx %zx %zx %zx %zx %zx %zx %zx %zx %zx %zx %zx)\n", a, b, c,
           d, e, f, g, h, i, j, k, l);
    return -7;
}

static int secret(int number)
{
    return number + 1;
}

int cuGetExportTable(const void **table, const void *id)
{
    static int (*const functions[])(int) = {secret};
    *table = id ? functions : NULL;
    return 0;
}

int cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags,
                        int *status)
{
    static const struct { const char *name; void *function; } known[] = {
        {"cuDeviceGetName", cuDeviceGetName}, {"cuSecret", secret}};
    *function = NULL;
    for (unsigned i = 0; i < 2; i++)
        if (!strcmp(symbol, known[i].name))
            *function = known[i].function;
    if (status)
        *status = !*function;
    return 0;
}
