/* Threads that share a device's primary context, each with a stream and memory of its own, and every
 * second one with a context of its own. Each moves bytes to the device, on it, and back. */
#include <pthread.h>
#include <string.h>
#include "cuda_driver.h"

enum { THREADS = 8, ROUNDS = 40, SIZE = 1 << 16 };

static context shared;
static int device;

static void count(void *number)
{
    __atomic_add_fetch((int *)number, 1, __ATOMIC_SEQ_CST);
}

static void *work(void *given)
{
    int number = (int)(intptr_t)given, called = 0;
    unsigned char sent[SIZE], back[SIZE];
    context own = NULL, current;
    stream in;
    event done;
    pointer first, second;

    if (number % 2)
        CHECK(create(&own, 0, device));
    else
        CHECK(set_current(shared));
    CHECK(make_stream(&in, 1));
    CHECK(make_event(&done, 0));
    for (int round = 0; round < ROUNDS; round++) {
        memset(sent, number * ROUNDS + round, SIZE);
        memset(back, 0, SIZE);
        CHECK(allocate(&first, SIZE));
        CHECK(allocate(&second, SIZE));
        CHECK(to_device_later(first, sent, SIZE, in));
        CHECK(between_later(second, first, SIZE, in));
        CHECK(to_host_later(back, second, SIZE, in));
        CHECK(call_later(in, count, &called));
        CHECK(record(done, in));
        CHECK(wait_for_event(done));
        if (memcmp(sent, back, SIZE) || called != round + 1) {
            fprintf(stderr, "thread %d, round %d: other bytes, or %d calls\n", number, round, called);
            exit(1);
        }
        CHECK(release_memory(first));
        CHECK(release_memory(second));
    }
    CHECK(get_current(&current));
    if (current != (own ? own : shared)) {
        fprintf(stderr, "thread %d has another's context\n", number);
        exit(1);
    }
    CHECK(end_event(done));
    CHECK(end_stream(in));
    if (own)
        CHECK(destroy(own));
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    size_t before, after, total;

    load();
    CHECK(init(0));
    CHECK(get_device(&device, 0));
    CHECK(retain(&shared, device));
    CHECK(set_current(shared));
    CHECK(memory(&before, &total));
    for (int number = 0; number < THREADS; number++)
        pthread_create(&threads[number], NULL, work, (void *)(intptr_t)number);
    for (int number = 0; number < THREADS; number++)
        pthread_join(threads[number], NULL);
    CHECK(synchronize());
    CHECK(memory(&after, &total));
    CHECK(release(device));
    printf("%d rounds in %d threads, %td bytes lost\n", THREADS * ROUNDS, THREADS, before - after);
    return 0;
}
