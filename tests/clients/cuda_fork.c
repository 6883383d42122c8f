/* A program that uses the driver, forks, and goes on; the child cannot use what its parent began,
 * and a child that was forked before can begin by itself. It prints a line for each of the three. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cuda_driver.h"

enum { SIZE = 1 << 20 };

static pointer filled(const char *text)
{
    context made;
    pointer there;
    int device;

    CHECK(init(0));
    CHECK(get_device(&device, 0));
    CHECK(retain(&made, device));
    CHECK(set_current(made));
    CHECK(allocate(&there, SIZE));
    CHECK(to_device(there, text, strlen(text) + 1));
    return there;
}

static void show(const char *who, pointer there)
{
    char back[16];
    size_t free, total;

    CHECK(to_host(back, there, sizeof back));
    CHECK(memory(&free, &total));
    printf("%s: %s\n", who, back);
    fflush(stdout);
}

static void wait_for(pid_t child)
{
    int status;
    waitpid(child, &status, 0);
    if (status)
        exit(1);
}

int main(void)
{
    pid_t child;
    pointer there, more;
    size_t free, total;
    char back[16];

    load();
    child = fork();
    if (!child) {
        show("child before", filled("of the child"));
        return 0;
    }
    wait_for(child);
    there = filled("of the parent");
    child = fork();
    if (!child) {
        printf("child after: %d %d %d %d\n", memory(&free, &total), allocate(&more, SIZE),
               to_host(back, there, sizeof back), init(0));
        fflush(stdout);
        _exit(0);
    }
    wait_for(child);
    show("parent", there);
    CHECK(release_memory(there));
    return 0;
}
