/* What the benchmarks call in a loop: a getter through its C function pointer, timed on this
 * thread or on a new one that Python has never met. */
#include <pthread.h>
#include <stddef.h>
#include <time.h>

typedef int getter(void *device, unsigned *value);

struct job {
    getter *call;
    void *device;
    int count;
    double nanoseconds;
};

static void *loop(void *argument)
{
    struct job *job = argument;
    struct timespec began, ended;
    unsigned value;
    job->call(job->device, &value);
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (int i = 0; i < job->count; i++)
        job->call(job->device, &value);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    job->nanoseconds = ((ended.tv_sec - began.tv_sec) * 1e9 + (ended.tv_nsec - began.tv_nsec)) / job->count;
    return NULL;
}

double main_thread(getter *call, void *device, int count)
{
    struct job job = {call, device, count, 0};
    loop(&job);
    return job.nanoseconds;
}

double foreign_thread(getter *call, void *device, int count)
{
    struct job job = {call, device, count, 0};
    pthread_t thread;
    if (pthread_create(&thread, NULL, loop, &job))
        return -1;
    pthread_join(thread, NULL);
    return job.nanoseconds;
}
