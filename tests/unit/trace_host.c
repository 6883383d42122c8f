/* Calls nvmlDeviceGetHandleByIndex_v2 from several processes with several threads each, and counts.
 *
 * Arguments: the number of processes, of threads in each, of calls that each thread makes, and a
 * file. The nth call of a thread asks for index n (from 0): all but the first are refused, and each
 * record of a trace has its place. The file gets a `struct row` for each thread, in shared memory,
 * so that a process that is killed has counted, too. With "kill" as the fifth argument the first
 * thread of the last process kills it after half of its calls. */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct row {
    volatile long pid, tid, calls;
};

static int (*handle)(unsigned, void **);
static long calls;
static struct row *deadly; /* of the thread that kills its process */

static void *call(void *argument)
{
    struct row *row = argument;
    void *device;
    row->tid = gettid();
    for (long n = 0; n < calls; n++) {
        if (row == deadly && n == calls / 2)
            kill(getpid(), SIGKILL);
        handle(n, &device);
        row->calls = n + 1;
    }
    return NULL;
}

static int work(struct row *rows, int threads)
{
    pthread_t started[threads];
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    int (*init)(void) = (int (*)(void))dlsym(library, "nvmlInit_v2");
    handle = (int (*)(unsigned, void **))dlsym(library, "nvmlDeviceGetHandleByIndex_v2");
    if (init())
        return 1;
    for (int n = 0; n < threads; n++)
        rows[n].pid = getpid(); /* before the first thread may end them all */
    for (int n = 0; n < threads; n++)
        pthread_create(&started[n], NULL, call, &rows[n]);
    for (int n = 0; n < threads; n++)
        pthread_join(started[n], NULL);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    int processes = atoi(argv[1]), threads = atoi(argv[2]), failed = 0, status;
    calls = atol(argv[3]);
    int file = open(argv[4], O_RDWR | O_CREAT | O_TRUNC, 0600);
    size_t size = sizeof(struct row) * processes * threads;
    if (file < 0 || ftruncate(file, size))
        return 2;
    struct row *rows = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (argc > 5 && !strcmp(argv[5], "kill"))
        deadly = rows + (processes - 1) * threads;
    for (int n = 0; n < processes; n++)
        if (!fork())
            return work(rows + n * threads, threads);
    while (wait(&status) > 0)
        failed += WIFEXITED(status) && WEXITSTATUS(status);
    return failed;
}
