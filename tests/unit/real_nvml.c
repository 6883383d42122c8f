/* What stands for a machine's real libnvidia-ml.so.1: four devices, and words of its own. */
#include <stdio.h>

static int devices[4];

int nvmlInit_v2(void)
{
    puts("real: nvmlInit_v2");
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = 4;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    if (index >= 4)
        return 6;
    *device = &devices[index];
    return 0;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device)
{
    return uuid ? nvmlDeviceGetHandleByIndex_v2(1, device) : 2;
}

/* Asks another exported function, as real libraries do: its own, whatever the program has. */
int nvmlDeviceGetIndex(void *device, unsigned *index)
{
    unsigned count;
    nvmlDeviceGetCount_v2(&count);
    for (*index = 0; *index < count; ++*index)
        if (device == &devices[*index])
            return 0;
    return 2;
}

const char *nvmlErrorString(int code)
{
    return code == 6 ? "really not found" : "really something else";
}

/* What no recorded driver has. */
int nvmlOfTheFuture(void)
{
    return 0;
}
