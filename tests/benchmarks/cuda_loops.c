/* What the CUDA benchmarks call in a loop, timed: nanoseconds a round, or -1 where a call failed. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

typedef unsigned long long address;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

#define TIMED(count, round)                                                                        \
    double began = now();                                                                          \
    for (int i = 0; i < (count); i++)                                                              \
        if (round)                                                                                 \
            return -1;                                                                             \
    return (now() - began) / (count)

double callback(int (*call)(void *, unsigned *), int count)
{
    unsigned value;
    TIMED(count, call(NULL, &value));
}

double allocate(int (*allocate)(address *, size_t), int (*release)(address), size_t size, int count)
{
    address pointer;
    TIMED(count, allocate(&pointer, size) || release(pointer));
}

double copy_in(int (*copy)(address, const void *, size_t), address to, void *from, size_t size,
               int count)
{
    TIMED(count, copy(to, from, size));
}

double copy_out(int (*copy)(void *, address, size_t), void *to, address from, size_t size, int count)
{
    TIMED(count, copy(to, from, size));
}

double move(void *to, const void *from, size_t size, int count)
{
    TIMED(count, !memmove(to, from, size));
}

typedef int launcher(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                     void *, void **, void **);

double launch(launcher *launch, void *function, void **arguments, int count)
{
    TIMED(count, launch(function, 1, 1, 1, 32, 1, 1, 0, NULL, arguments, NULL));
}

double information(int (*ask)(size_t *, size_t *), int count)
{
    size_t free, total;
    TIMED(count, ask(&free, &total));
}
