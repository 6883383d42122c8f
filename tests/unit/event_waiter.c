/* Waits for one event of GPU 0 in each of four threads, with a set of its own, and prints them. */

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#define THREADS 4
#define XID 8ULL

struct event {
    void *device;
    unsigned long long type, data;
    unsigned int gpu_instance, compute_instance;
};

static void *device, *sets[THREADS];
static int (*wait_)(void *, struct event *, unsigned int);

static void *wait_for_one(void *set)
{
    struct event event = {0};
    int code = wait_(*(void **)set, &event, 60000);
    printf("%d %llu\n", code, event.data);
    return NULL;
}

int main(void)
{
    void *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    int (*init)(void) = (int (*)(void))dlsym(nvml, "nvmlInit_v2");
    int (*find)(unsigned int, void **) =
        (int (*)(unsigned int, void **))dlsym(nvml, "nvmlDeviceGetHandleByIndex_v2");
    int (*create)(void **) = (int (*)(void **))dlsym(nvml, "nvmlEventSetCreate");
    int (*listen)(void *, unsigned long long, void *) =
        (int (*)(void *, unsigned long long, void *))dlsym(nvml, "nvmlDeviceRegisterEvents");
    pthread_t threads[THREADS];

    wait_ = (int (*)(void *, struct event *, unsigned int))dlsym(nvml, "nvmlEventSetWait_v2");
    if (init() || find(0, &device))
        return 1;
    for (int i = 0; i < THREADS; i++)
        if (create(&sets[i]) || listen(device, XID, sets[i]))
            return 1;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, wait_for_one, &sets[i]);
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
