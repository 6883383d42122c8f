/* A program without Python that does what its arguments say, in order, and prints a line for each:
 *
 *     init count name shutdown     NVML calls; prints the status and what came back
 *     cuinit cucount               CUDA calls
 *     text                         nvmlErrorString(15)
 *     threads                      100 short threads, eight at a time, each asking for the count
 *     fork                         the following arguments in a child; prints its exit status
 *     both                         nvmlInit and cuInit, each as the first call of a thread of its own
 *     reopen                       dlclose both libraries and open them again
 *     locale buffer                whether Python touched the locale, the environment, stdout
 *     atexit                       call nvmlDeviceGetCount once more when the process ends */
#include <dlfcn.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *nvml, *cuda;

static void open_libraries(void)
{
    nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    cuda = dlopen("libcuda.so.1", RTLD_NOW);
    if (!nvml || !cuda) {
        printf("%s\n", dlerror());
        exit(12);
    }
}

static int call0(void *library, const char *name)
{
    return ((int (*)(void))dlsym(library, name))();
}

static int count(unsigned *devices)
{
    return ((int (*)(unsigned *))dlsym(nvml, "nvmlDeviceGetCount_v2"))(devices);
}

static void *count_on_thread(void *wrong)
{
    unsigned devices = 0;
    if (count(&devices))
        __atomic_add_fetch((int *)wrong, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void threads(void)
{
    int wrong = 0;
    pthread_t running[8];
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 8; i++)
            pthread_create(&running[i], NULL, count_on_thread, &wrong);
        for (int i = 0; i < 8; i++)
            pthread_join(running[i], NULL);
    }
    printf("threads: %d wrong\n", wrong);
}

static void *first_call(void *name)
{
    return (void *)(long)((int (*)(unsigned))dlsym(*(char *)name == 'n' ? nvml : cuda, name))(0);
}

static void both(void)
{
    pthread_t running[2];
    void *status[2];
    pthread_create(&running[0], NULL, first_call, "nvmlInit_v2");
    pthread_create(&running[1], NULL, first_call, "cuInit");
    for (int i = 0; i < 2; i++)
        pthread_join(running[i], &status[i]);
    printf("both: %ld %ld\n", (long)status[0], (long)status[1]);
}

static void name(void)
{
    void *device = NULL;
    char text[96] = "untouched";
    int status = ((int (*)(unsigned, void **))dlsym(nvml, "nvmlDeviceGetHandleByIndex_v2"))(0, &device);
    if (!status)
        status = ((int (*)(void *, char *, unsigned))dlsym(nvml, "nvmlDeviceGetName"))(device, text, 96);
    printf("name: %d %s\n", status, text);
}

static void count_at_exit(void)
{
    unsigned devices = 0;
    int status = count(&devices);
    printf("at exit: %d %u\n", status, devices);
    fflush(stdout);
}

static void act(const char *verb)
{
    if (!strcmp(verb, "init"))
        printf("init: %d\n", call0(nvml, "nvmlInit_v2"));
    else if (!strcmp(verb, "shutdown"))
        printf("shutdown: %d\n", call0(nvml, "nvmlShutdown"));
    else if (!strcmp(verb, "count") || !strcmp(verb, "cucount")) {
        unsigned devices = 77;
        int status = *verb == 'c' && verb[1] == 'o'
                         ? count(&devices)
                         : ((int (*)(unsigned *))dlsym(cuda, "cuDeviceGetCount"))(&devices);
        printf("%s: %d %u\n", verb, status, devices);
    } else if (!strcmp(verb, "cuinit"))
        printf("cuinit: %d\n", ((int (*)(unsigned))dlsym(cuda, "cuInit"))(0));
    else if (!strcmp(verb, "text"))
        printf("text: %s\n", ((const char *(*)(int))dlsym(nvml, "nvmlErrorString"))(15));
    else if (!strcmp(verb, "name"))
        name();
    else if (!strcmp(verb, "both"))
        both();
    else if (!strcmp(verb, "threads"))
        threads();
    else if (!strcmp(verb, "locale"))
        printf("locale: %s, LC_CTYPE=%s\n", setlocale(LC_CTYPE, NULL), getenv("LC_CTYPE"));
    else if (!strcmp(verb, "atexit"))
        atexit(count_at_exit);
    else if (!strcmp(verb, "reopen")) {
        dlclose(nvml);
        dlclose(cuda);
        open_libraries();
        puts("reopen: ok");
    } else
        printf("%s: unknown\n", verb);
    fflush(stdout);
}

int main(int count, char **verbs)
{
    open_libraries();
    for (int i = 1; i < count; i++) {
        if (strcmp(verbs[i], "fork")) {
            act(verbs[i]);
            continue;
        }
        pid_t child = fork();
        if (child) {
            int status;
            waitpid(child, &status, 0);
            printf("child: %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
            return 0;
        }
    }
    return 0;
}
