/* What stands for a machine's real libnvidia-ml.so.1: two devices, the second with a MIG device. */
#include <string.h>

enum { GPU_0, GPU_1, MIG, GPU_INSTANCE, COMPUTE_INSTANCE, THINGS };

static char things[THINGS];

struct gpu_instance { void *device; unsigned id, profile, start, size; };
struct compute_instance { void *device, *gpu_instance; unsigned id, profile, start, size; };
struct temperature { unsigned version, sensor; int value; };

static int of(void *handle)
{
    char *thing = handle;
    return thing >= things && thing < things + THINGS ? (int)(thing - things) : -1;
}

static int put(unsigned *place, unsigned value)
{
    *place = value;
    return 0;
}

int nvmlInit_v2(void) { return 0; }

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device)
{
    *device = things + (strcmp(uuid, "MIG-1") ? GPU_1 : MIG);
    return 0;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **mig)
{
    if (of(device) != GPU_1 || index)
        return 6;
    *mig = things + MIG;
    return 0;
}

int nvmlDeviceIsMigDeviceHandle(void *device, unsigned *is) { return put(is, of(device) == MIG); }
int nvmlDeviceGetIndex(void *device, unsigned *index) { return put(index, of(device)); }
int nvmlDeviceGetGpuInstanceId(void *device, unsigned *id) { return put(id, of(device) + 5); }
int nvmlDeviceGetComputeInstanceId(void *device, unsigned *id) { return put(id, of(device) - 2); }

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *mig, void **device)
{
    *device = things + GPU_1;
    return 0;
}

int nvmlDeviceGetGpuInstanceById(void *device, unsigned id, void **instance)
{
    *instance = things + GPU_INSTANCE;
    return 0;
}

int nvmlGpuInstanceGetInfo(void *instance, struct gpu_instance *info)
{
    memset(info, 0, sizeof *info);
    info->device = things + GPU_1;
    info->id = 7;
    return 0;
}

int nvmlGpuInstanceGetComputeInstanceById(void *instance, unsigned id, void **made)
{
    *made = things + COMPUTE_INSTANCE;
    return 0;
}

int nvmlComputeInstanceGetInfo_v2(void *instance, struct compute_instance *info)
{
    memset(info, 0, sizeof *info);
    info->device = things + MIG;
    info->gpu_instance = things + GPU_INSTANCE;
    return 0;
}

int nvmlDeviceGetTemperatureV(void *device, struct temperature *temperature)
{
    if (of(device) == MIG)
        return 3;
    temperature->value = 40 + of(device);
    return 0;
}
