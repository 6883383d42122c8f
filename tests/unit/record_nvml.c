/* What stands for the real libnvidia-ml.so.1 of a machine with two T4s, two of whose functions
 * crash and one of which hangs; a recording that changes something ends its process. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GPUS 2
#define UUID "GPU-5ec2e700-aaaa-bbbb-cccc-00000000000"
#define SERIAL "132441905237"

static int devices[GPUS];

static int put(char *text, unsigned length, const char *value, int device)
{
    size_t size = strlen(value);
    if (length < size + 2)
        return 7;
    strcpy(text, value);
    if (device >= 0) {
        text[size] = (char)('0' + device);
        text[size + 1] = 0;
    }
    return 0;
}

static int number(void *device)
{
    return (int)((int *)device - devices);
}

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { abort(); }
int nvmlDeviceSetPersistenceMode(void *device, int mode) { abort(); }
int nvmlDeviceResetGpuLockedClocks(void *device) { abort(); }

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = GPUS;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    if (index >= GPUS)
        return 2;
    *device = &devices[index];
    return 0;
}

int nvmlDeviceGetIndex(void *device, unsigned *index)
{
    *index = (unsigned)number(device);
    return 0;
}

int nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    return put(version, length, "580.65.06", -1);
}

int nvmlDeviceGetName(void *device, char *name, unsigned length)
{
    return put(name, length, "Tesla T4", -1);
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length)
{
    return put(uuid, length, UUID, number(device));
}

int nvmlDeviceGetSerial(void *device, char *serial, unsigned length)
{
    return put(serial, length, SERIAL, number(device));
}

struct pci {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem;
    char id[32];
};

int nvmlDeviceGetPciInfo_v3(void *device, struct pci *pci)
{
    memset(pci, 0, sizeof *pci);
    pci->bus = number(device) ? 0x5e : 0x3b;
    pci->device_id = 0x1eb810de;
    pci->subsystem = 0x12a210de;
    strcpy(pci->legacy, number(device) ? "0000:5E:00.0" : "0000:3B:00.0");
    strcpy(pci->id, number(device) ? "00000000:5E:00.0" : "00000000:3B:00.0");
    return 0;
}

int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius)
{
    *celsius = 41 + number(device);
    return sensor ? 2 : 0;
}

int nvmlDeviceGetPowerManagementLimit(void *device, unsigned *milliwatts)
{
    *milliwatts = 65000;
    return 0;
}

int nvmlDeviceGetPersistenceMode(void *device, int *mode)
{
    *mode = 1;
    return 0;
}

/* Wants more room than a client has at first. */
int nvmlDeviceGetSupportedMemoryClocks(void *device, unsigned *count, unsigned *clocks)
{
    unsigned room = *count;
    *count = 2;
    if (room < 5000)
        return 7;
    clocks[0] = 5001;
    clocks[1] = 405;
    return 0;
}

/* Knows the first version of the struct alone. */
int nvmlDeviceGetNvLinkInfo(void *device, unsigned *info)
{
    if (info[0] != (8 | 1 << 24))
        return 25;
    info[1] = 1;
    return 0;
}

int nvmlDeviceGetFanSpeed(void *device, unsigned *speed)
{
    abort();
}

/* As a driver may end that has all answers given. */
__attribute__((destructor)) static void end(void)
{
    if (getenv("DRIVER_ENDS_BADLY"))
        abort();
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device)
{
    abort();
}

int nvmlDeviceGetVbiosVersion(void *device, char *version, unsigned length)
{
    while (number(device) && getenv("DRIVER_HANGS"))
        pause();
    return put(version, length, "90.04.38.00.0", 3);
}

struct process {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *found)
{
    if (*count < 1) {
        *count = 1;
        return 7;
    }
    *count = 1;
    found->pid = 4242;
    found->used = 1 << 20;
    found->gpu_instance = found->compute_instance = -1u;
    return 0;
}

int nvmlSystemGetProcessName(unsigned pid, char *name, unsigned length)
{
    return pid == 4242 ? put(name, length, "/home/alice/secret-project", -1) : 6;
}
