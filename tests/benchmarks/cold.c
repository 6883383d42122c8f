/* A cold host: a program without Python that counts GPUs and ends. */
#include <dlfcn.h>
#include <stdio.h>

int main(void)
{
    void *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!nvml)
        return 12;
    int (*init)(void) = (int (*)(void))dlsym(nvml, "nvmlInit_v2");
    int (*count)(unsigned *) = (int (*)(unsigned *))dlsym(nvml, "nvmlDeviceGetCount_v2");
    int (*shutdown)(void) = (int (*)(void))dlsym(nvml, "nvmlShutdown");
    unsigned devices = 0;
    int status = init();
    if (!status)
        status = count(&devices);
    if (!status)
        status = shutdown();
    printf("%u\n", devices);
    return status;
}
