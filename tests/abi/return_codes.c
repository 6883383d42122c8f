/* A program that calls functions for the sake of what they return: return_codes [ready]
 *
 * Reads lines "LIBRARY FUNCTION CODE CODE ..." and calls the function once for each code, with
 * pointers to marked memory as all arguments. Prints a line for each call that returns anything
 * else, for each that writes to the memory and for each function that is not there; at the end, the
 * number of calls. "ready": both libraries are initialised first. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MARK 0xA5
#define WORDS 12

typedef int function(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
                     uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t);

static unsigned char memory[1 << 16], untouched[sizeof memory];

static int call(function *target)
{
    uintptr_t at = (uintptr_t)memory + sizeof memory / 2;
    return target(at, at, at, at, at, at, at, at, at, at, at, at);
}

static void check(const char *name, function *target, int expected)
{
    int returned = call(target);
    if (returned != expected)
        printf("%s: %d in place of %d\n", name, returned, expected);
    if (memcmp(memory, untouched, sizeof memory)) {
        printf("%s: wrote to memory\n", name);
        memset(memory, MARK, sizeof memory);
    }
}

static int initialise(void *nvml, void *cuda)
{
    int (*nvml_init)(void) = (int (*)(void))dlsym(nvml, "nvmlInit_v2");
    int (*cuda_init)(unsigned) = (int (*)(unsigned))dlsym(cuda, "cuInit");
    return nvml_init() | cuda_init(0);
}

int main(int count, char **arguments)
{
    void *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW), *cuda = dlopen("libcuda.so.1", RTLD_NOW);
    char library[16], name[128];
    unsigned calls = 0;
    if (!nvml || !cuda)
        return puts(dlerror()), 1;
    if (count > 1 && !strcmp(arguments[1], "ready") && initialise(nvml, cuda))
        return puts("cannot be initialised"), 1;
    memset(memory, MARK, sizeof memory);
    memset(untouched, MARK, sizeof untouched);
    while (scanf("%15s %127s", library, name) == 2) {
        function *target = (function *)dlsym(strcmp(library, "nvml") ? cuda : nvml, name);
        if (!target)
            printf("%s: not there\n", name);
        for (int code; scanf("%d", &code) == 1; calls += target != NULL)
            if (target)
                check(name, target, code);
    }
    printf("%u\n", calls);
    return 0;
}
