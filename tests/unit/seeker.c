/* Looks for GPUs in the way that its arguments tell, in order, and says "GPU" or, as soon as
 * something is not as it wants it, "CPU" and why. The exit status is 0 all the same, as that of
 * programs that fall back to the CPU is.
 *
 *     open FILE      dlopen it
 *     need FUNCTION  dlsym, in the library opened last
 *     nvml           nvmlInit_v2 and nvmlDeviceGetCount_v2
 *     cuda           cuInit and cuDeviceGetCount
 *     temperature    nvmlDeviceGetTemperature of the first device
 *     capability     cuDeviceGetAttribute: at least 5
 *     memory         cuDeviceTotalMem_v2: at least 1 GiB
 *     context        cuCtxCreate_v2
 *     runtime        what NVIDIA's runtime library asks first: the version, and an export table
 *     access FILE    whether it is there
 *     run PROGRAM    the remaining arguments are a program's, which decides
 *     exit STATUS    end with this status */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *library;

static void fall_back(const char *why)
{
    printf("CPU: %s\n", why);
    exit(0);
}

static void *need(const char *name)
{
    void *function = library ? dlsym(library, name) : NULL;
    if (!function)
        fall_back(name);
    return function;
}

static void check(const char *name, int status)
{
    if (status)
        fall_back(name);
}

static void count(const char *init, const char *counting)
{
    int devices = 0;
    check(init, ((int (*)(unsigned))need(init))(0));
    check(counting, ((int (*)(int *))need(counting))(&devices));
    if (!devices)
        fall_back("no devices");
}

static void temperature(void)
{
    void *device = NULL;
    unsigned celsius = 0;
    check("device", ((int (*)(unsigned, void **))need("nvmlDeviceGetHandleByIndex_v2"))(0, &device));
    check("temperature", ((int (*)(void *, int, unsigned *))need("nvmlDeviceGetTemperature"))(
                             device, 0, &celsius));
}

static void capability(void)
{
    int major = 0;
    check("attribute", ((int (*)(int *, int, int))need("cuDeviceGetAttribute"))(&major, 75, 0));
    if (major < 5)
        fall_back("too old");
}

static void memory(void)
{
    size_t bytes = 0;
    check("memory", ((int (*)(size_t *, int))need("cuDeviceTotalMem_v2"))(&bytes, 0));
    if (bytes < 1u << 30)
        fall_back("too little memory");
}

static void context(void)
{
    void *made = NULL;
    check("context", ((int (*)(void **, unsigned, int))need("cuCtxCreate_v2"))(&made, 0, 0));
}

static void runtime(void)
{
    static const unsigned char id[16] = {0x6b, 0xd5, 0xfb, 0x6c};
    const void *table = NULL;
    int version = 0;
    ((int (*)(int *))need("cuDriverGetVersion"))(&version);
    check("cuInit", ((int (*)(unsigned))need("cuInit"))(0));
    check("table", ((int (*)(const void **, const void *))need("cuGetExportTable"))(&table, id));
}

static void run(char **program)
{
    fflush(stdout);
    if (!fork()) {
        execvp(*program, program);
        _exit(127);
    }
    int status = 0;
    wait(&status);
    if (status)
        fall_back(*program);
}

int main(int unused, char **word)
{
    (void)unused;
    static const struct {
        const char *verb;
        void (*act)(void);
    } acts[] = {{"temperature", temperature}, {"capability", capability}, {"memory", memory},
                {"context", context},         {"runtime", runtime}};
    while (*++word) {
        for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
            if (!strcmp(*word, acts[i].verb))
                acts[i].act();
        if (!strcmp(*word, "nvml"))
            count("nvmlInit_v2", "nvmlDeviceGetCount_v2");
        else if (!strcmp(*word, "cuda"))
            count("cuInit", "cuDeviceGetCount");
        else if (!strcmp(*word, "open")) {
            if (!(library = dlopen(*++word, RTLD_NOW)))
                fall_back(dlerror());
        } else if (!strcmp(*word, "need"))
            need(*++word);
        else if (!strcmp(*word, "access")) {
            if (access(*++word, F_OK))
                fall_back(*word);
        } else if (!strcmp(*word, "exit"))
            exit(atoi(*++word));
        else if (!strcmp(*word, "run")) {
            run(word + 1);
            break;
        }
    }
    puts("GPU");
}
