/* Does one thing that a module in the process could spoil, and says what came of it.
 *
 *     wild             calls with pointers that lead nowhere
 *     errno            errno after calls that fail and one that does not
 *     in-place         readlink into the buffer of its path, which follows
 *     versions         both versions of realpath
 *     fortified        what headers call with _FORTIFY_SOURCE
 *     limited          no file may grow
 *     no-files         no file may be opened
 *     closed           the lowest descriptor is free
 *     confined         a seccomp filter, set by prctl, ends a process that opens a file
 *     confined-too     the same, by syscall
 *     strict           seccomp's strict mode
 *     cancelled        a thread that is to end at a point of cancellation
 *     waiting          a thread that is cancelled inside open; the pipe that it opens follows
 *     small            threads on the smallest stacks; one starts a program
 *     handlers         signal handlers, forks and threads at once
 *     lists            a program by execl and its kin
 *     path             a program, whose path follows, that is found since PATH was changed
 *     long             a program with long arguments, and with many
 *     next             dlsym for a library in between; its path follows
 *     symbols          dlsym; the path of a library that asks follows */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SHOW(call)                                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long result_ = (long)(call);                                                               \
        printf(#call ": %ld, %s\n", result_, strerror(errno));                                     \
    } while (0)
/* A process for something that does not come back. */
#define APART(action)                                                                              \
    do {                                                                                           \
        fflush(stdout);                                                                            \
        if (!fork()) {                                                                             \
            action;                                                                                \
            _exit(3);                                                                              \
        }                                                                                          \
        int status_ = 0;                                                                           \
        wait(&status_);                                                                            \
        printf(#action ": %x\n", status_);                                                         \
    } while (0)

extern char **environ;
static char *nowhere = (char *)16;
static char *argument;

static void wild(void)
{
    static char *one[] = {(char *)16, NULL};
    struct stat status;
    SHOW(open(nowhere, O_RDONLY));
    SHOW(open(NULL, O_RDONLY));
    SHOW(stat(nowhere, &status));
    SHOW(access(nowhere, 12345));
    SHOW(faccessat(AT_FDCWD, nowhere, F_OK, 1 << 30));
    SHOW(fopen(nowhere, "r"));
    SHOW(execve(nowhere, NULL, NULL));
    SHOW(execve("/bin/true", one, NULL));
    SHOW(execve("/bin/true", (char **)nowhere, NULL));
    SHOW(execv("/nowhere/nvidia-smi", NULL));
    SHOW(access("/dev/nvidia-after", F_OK));
}

static void errors(void)
{
    struct stat status;
    SHOW(access("/dev/nvidia-none", F_OK));
    SHOW(access("/dev/null/nvidia", F_OK));
    SHOW(open("/dev/nvidia-none", O_RDONLY));
    SHOW(stat("/dev/null", &status));
    SHOW(!fopen("/dev/nvidia-none", "r"));
}

static void in_place(void)
{
    char path[PATH_MAX] = "";
    SHOW(readlink(strcpy(path, argument), path, sizeof path));
    puts(path);
}

static void versions(void)
{
    SHOW(!realpath("/", NULL));
    char *(*old)(const char *, char *) = dlvsym(RTLD_DEFAULT, "realpath", "GLIBC_2.2.5");
    if (old) /* which refuses NULL; only x86-64 has it */
        SHOW(!old("/", NULL));
    SHOW(!realpath("/", NULL));
}

int __open_2(const char *, int);

static void fortified(void)
{
    SHOW(__open_2("/dev/nvidia-fortified", O_RDONLY));
}

static void limit(int resource)
{
    struct rlimit none = {0, 0};
    setrlimit(resource, &none);
    SHOW(access("/dev/nvidia-limited", F_OK));
}

static void limited(void)
{
    limit(RLIMIT_FSIZE);
}

static void no_files(void)
{
    limit(RLIMIT_NOFILE);
    SHOW(open("/dev/null", O_RDONLY));
}

static void closed(void)
{
    close(0);
    SHOW(access("/dev/nvidia-closed", F_OK));
    SHOW(open("/dev/null", O_RDONLY));
}

static void confine(int by_prctl)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT(filter), filter};
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (by_prctl)
        SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    else
        SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    SHOW(access("/dev/nvidia-confined", F_OK));
}

static void confined(void)
{
    confine(1);
}

static void confined_too(void)
{
    confine(0);
}

static void strict(void)
{
    puts("strict");
    fflush(stdout);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    syscall(SYS_exit, 0);
}

static volatile int cancelled_now;

static void *cancelled_thread(void *unused)
{
    struct stat status;
    while (!cancelled_now)
        ;
    stat("/dev/nvidia-cancelled", &status);
    access("/nowhere/libcuda.so.1", F_OK);
    printf("no library: %d\n", !dlopen("/nowhere/libcuda.so.1", RTLD_LAZY));
    return unused;
}

static void *waiting_thread(void *unused)
{
    open(argument, O_RDONLY); /* a pipe that nobody writes into */
    return unused;
}

static void cancel(void *(*thread)(void *))
{
    pthread_t one;
    void *result;
    pthread_create(&one, NULL, thread, NULL);
    usleep(100000);
    pthread_cancel(one);
    cancelled_now = 1;
    pthread_join(one, &result);
    printf("cancelled: %d\n", result == PTHREAD_CANCELED);
}

static void cancelled(void)
{
    setvbuf(stdout, NULL, _IOFBF, BUFSIZ); /* what is printed in the thread is no such point */
    cancel(cancelled_thread);
}

static void waiting(void)
{
    cancel(waiting_thread);
}

static void *looking_thread(void *unused)
{
    access("/dev/nvidia-small", F_OK);
    return unused;
}

static void *starting_thread(void *unused)
{
    if (!vfork()) {
        execlp("nvidia-none", "nvidia-none", (char *)NULL);
        _exit(0);
    }
    return unused;
}

static void small(void)
{
    void *(*threads[])(void *) = {looking_thread, starting_thread};
    for (size_t i = 0; i < COUNT(threads); i++) {
        pthread_attr_t attributes;
        pthread_t one;
        int status = -1;
        pthread_attr_init(&attributes);
        SHOW(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN));
        SHOW(pthread_create(&one, &attributes, threads[i], NULL));
        pthread_join(one, NULL);
        wait(&status);
        printf("child: %d\n", status);
    }
}

static void handle(int unused)
{
    (void)unused;
    access("/dev/nvidia-handler", F_OK);
}

static void *busy_thread(void *unused)
{
    for (int i = 0; i < 100; i++)
        access("/dev/nvidia-busy", F_OK);
    return unused;
}

static void handlers(void)
{
    pthread_t threads[4];
    signal(SIGUSR1, handle);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_create(&threads[i], NULL, busy_thread, NULL);
    for (int i = 0; i < 10; i++) {
        raise(SIGUSR1);
        APART(_exit(access("/dev/nvidia-child", F_OK) ? 0 : 1));
    }
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
}

static void lists(void)
{
    char *environment[] = {"A=b", NULL};
    APART(execl("/bin/echo", "echo", "1", "2", "3", "4", "5", "6", "7", "8", (char *)NULL));
    APART(execlp("echo", "echo", "1", "2", "3", "4", "5", "6", "7", "8", (char *)NULL));
    APART(execle("/usr/bin/env", "env", (char *)NULL, environment));
    APART(execlp("nvidia-none", "nvidia-none", "-L", (char *)NULL));
    pid_t child;
    SHOW(posix_spawnp(&child, "nvidia-none", NULL, NULL, environment, environ));
}

static void path(void)
{
    char *folder = strdup(argument), *name = strrchr(folder, '/');
    *name++ = 0;
    setenv("NEW", "", 1); /* from here on the variables are in another array */
    setenv("PATH", folder, 1);
    APART(execlp(name, name, "wild", (char *)NULL));
}

static void long_(void)
{
    static char text[3000], *many[100000];
    memset(text, '"', sizeof text - 1);
    for (size_t i = 0; i + 1 < COUNT(many); i++)
        many[i] = "x";
    APART(execl("/bin/true", "\xff\xe2\x80\xa8\n", text, text, text, (char *)NULL));
    APART(execv("/bin/true", many));
}

static void next(void)
{
    void *library = dlopen(argument, RTLD_NOW | RTLD_GLOBAL);
    int (*ask)(void) = dlsym(library, "ask_next");
    SHOW(ask());
    SHOW(dlsym(RTLD_DEFAULT, "nothing_of_this_name"));
    SHOW(dlerror() != NULL);
    SHOW(dlsym(library, "nothing_of_this_name"));
    SHOW(dlerror() != NULL);
    SHOW(dlerror() != NULL);
}

static void symbols(void)
{
    void *asking = dlopen(argument, RTLD_NOW), *library = dlopen("libcuda.so.1", RTLD_NOW);
    void *(*ask)(void *, const char *) = dlsym(asking, "ask");
    SHOW(library && !ask(library, "cuInit"));
    SHOW(library && ask(library, "cuNothing"));
    SHOW(library && !dlsym(library, "cuDeviceGet"));
}

int main(int count, char **words)
{
    static const struct {
        const char *verb;
        void (*act)(void);
    } acts[] = {
        {"wild", wild},           {"errno", errors},
        {"in-place", in_place},   {"versions", versions},
        {"fortified", fortified}, {"limited", limited},
        {"no-files", no_files},   {"closed", closed},
        {"confined", confined},   {"confined-too", confined_too},
        {"strict", strict},       {"cancelled", cancelled},
        {"waiting", waiting},     {"small", small},
        {"handlers", handlers},   {"lists", lists},
        {"path", path},           {"long", long_},
        {"next", next},           {"symbols", symbols},
    };
    argument = count > 2 ? words[2] : NULL;
    for (size_t i = 0; i < COUNT(acts); i++)
        if (count > 1 && !strcmp(words[1], acts[i].verb))
            acts[i].act();
    return 0;
}
