/* A program that uses both libraries, and says what it finds. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct location { unsigned type; int id; };
struct memory { char reserved[64]; };
struct frame { union { void *array[3]; void *pitch[3]; } planes; unsigned rest[9]; };
typedef uintptr_t word;

#define GET(library, name) __typeof__(name) *name##_ = (__typeof__(name) *)dlsym(library, #name)

extern int nvmlInit_v2(void), nvmlDeviceGetCount_v2(unsigned *);
extern int nvmlDeviceGetHandleByIndex_v2(unsigned, void **);
extern int nvmlDeviceGetHandleByUUID(const char *, void **);
extern int nvmlDeviceGetIndex(void *, unsigned *);
extern const char *nvmlErrorString(int);
extern int cuInit(unsigned), cuDeviceGet(int *, int), cuDeviceGetName(char *, int, int);
extern int cuTexRefSetMipmapLevelBias(void *, float);
extern int cuMemAdvise_v2(uint64_t, size_t, unsigned, struct location);
extern int cuIpcOpenMemHandle_v2(uint64_t *, struct memory, unsigned);
extern int cuEGLStreamProducerPresentFrame(void *, struct frame, void **);
extern int cuMemGetAttribute(word, word, word, word, word, word, word, word, word, word, word,
                             word);
extern int cuGetExportTable(const void **, const void *);
extern int cuGetProcAddress_v2(const char *, void **, int, uint64_t, int *);

static void *opened(const char *name)
{
    void *library = dlopen(name, RTLD_NOW);
    if (!library)
        puts(dlerror());
    return library;
}

static void use_nvml(void *library)
{
    GET(library, nvmlInit_v2);
    GET(library, nvmlDeviceGetHandleByIndex_v2);
    GET(library, nvmlDeviceGetHandleByUUID);
    GET(library, nvmlDeviceGetIndex);
    GET(library, nvmlErrorString);
    void *device, *other;
    unsigned index = 99;
    int code = nvmlInit_v2_();
    code += nvmlDeviceGetHandleByIndex_v2_(3, &device);
    printf("%d %d", code, nvmlDeviceGetIndex_(device, &index));
    printf(" %u %s\n", index, nvmlErrorString_(nvmlDeviceGetHandleByIndex_v2_(4, &device)));
    code = nvmlDeviceGetHandleByUUID_("GPU-0815", &other);
    printf("%d %d", code, nvmlDeviceGetIndex_(other, &index));
    printf(" %u, unknown to nvemu: %d, to it: %d\n", index, !!dlsym(library, "nvmlOfTheFuture"),
           !!dlsym(library, "nvmlDeviceGetMemoryInfo"));
}

static void use_cuda(void *library)
{
    GET(library, cuInit);
    GET(library, cuDeviceGet);
    GET(library, cuTexRefSetMipmapLevelBias);
    GET(library, cuMemAdvise_v2);
    GET(library, cuIpcOpenMemHandle_v2);
    GET(library, cuEGLStreamProducerPresentFrame);
    GET(library, cuMemGetAttribute);
    GET(library, cuGetExportTable);
    GET(library, cuGetProcAddress_v2);
    int device = -1;
    char name[16] = "";
    uint64_t pointer;
    struct memory handle;
    memset(&handle, 'x', sizeof handle);
    int code = cuInit_(0);
    code += cuDeviceGet_(&device, 1);
    printf("%d %d\n", code, device);
    printf("%d\n", cuTexRefSetMipmapLevelBias_(&device, 0.1f));
    printf("%d\n", cuMemAdvise_v2_(0xfedcba9876543210, 5, 3, (struct location){1, -2}));
    printf("%d", cuIpcOpenMemHandle_v2_(&pointer, handle, 1));
    printf(" %llx\n", (unsigned long long)pointer);
    struct frame frame = {{.array = {0, 0, &device + 2}}, {[8] = 4000000000}};
    printf("%d\n", cuEGLStreamProducerPresentFrame_(&device, frame, NULL));
    printf("%d\n", cuMemGetAttribute_(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, (word)-1));
    const int (*const *table)(int);
    printf("%d", cuGetExportTable_((const void **)&table, name));
    printf(" %d\n", (*table)(41));
    int (*get_name)(char *, int, int), (*secret)(int), none = -1;
    cuGetProcAddress_v2_("cuDeviceGetName", (void **)&get_name, 12000, 0, NULL);
    cuGetProcAddress_v2_("cuSecret", (void **)&secret, 12000, 0, NULL);
    printf("%d", get_name(name, sizeof name, device));
    printf(" %s, secret %d,", name, secret(1));
    printf(" same: %d", (void *)get_name == dlsym(library, "cuDeviceGetName"));
    void *absent = name;
    printf(" %d", cuGetProcAddress_v2_("cuNix", &absent, 12000, 0, &none));
    printf(" %d %d\n", !absent, none);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    void *nvml = opened("libnvidia-ml.so.1"), *cuda = opened("libcuda.so.1");
    if (nvml)
        use_nvml(nvml);
    if (cuda)
        use_cuda(cuda);
    if (!nvml || fork())
        return nvml && wait(NULL) < 0;
    GET(nvml, nvmlDeviceGetCount_v2);
    unsigned count = 0;
    printf("child: %d", nvmlDeviceGetCount_v2_(&count));
    printf(" %u\n", count);
    return 0;
}
