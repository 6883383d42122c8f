/* A program that asks for GPU 0's temperature again and again until its stdin is closed.
 *
 * Arguments: the temperature at first, the one that it changes to, and the milliseconds between two
 * calls. Prints "ready", and at the end how often it called, when it first saw the change
 * (nanoseconds of CLOCK_MONOTONIC, 0 for never), and how many answers were anything else. */
#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    int (*init)(void) = (int (*)(void))dlsym(library, "nvmlInit_v2");
    int (*handle)(unsigned, void **) =
        (int (*)(unsigned, void **))dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
    int (*temperature)(void *, int, unsigned *) =
        (int (*)(void *, int, unsigned *))dlsym(library, "nvmlDeviceGetTemperature");
    unsigned before = atoi(argv[1]), after = atoi(argv[2]), read;
    long calls = 0, other = 0, changed = 0;
    void *device;
    if (init() || handle(0, &device))
        return 1;
    struct pollfd closed = {.fd = 0, .events = POLLIN};
    puts("ready");
    fflush(stdout);
    while (!poll(&closed, 1, atoi(argv[3]))) {
        int status = temperature(device, 0, &read);
        calls++;
        if (!status && read == after && !changed) {
            struct timespec now;
            clock_gettime(CLOCK_MONOTONIC, &now);
            changed = now.tv_sec * 1000000000L + now.tv_nsec;
        }
        other += status || read != (changed ? after : before);
    }
    printf("%ld %ld %ld\n", calls, changed, other);
    return 0;
}
