/* What a generated stub is made of: slots, and the way through them into Python.
 *
 * Each exported function is generated as one line: it enters its slot and calls what it finds
 * there with its own arguments. forward.c fills the gaps: an empty slot, a thread that Python
 * has not met, a process that has no Python yet, a fork. */
#ifndef NVEMU_FORWARD_H
#define NVEMU_FORWARD_H

#include <stdatomic.h>
#include <stdint.h>

typedef uintptr_t nvemu_word; /* an argument of a function that no header declares */

/* Why a call could not be handed to Python, and so which of the library's codes it returns. */
enum nvemu_refusal { NVEMU_NOT_FOUND, NVEMU_BROKEN, NVEMU_CLOSED, NVEMU_REFUSALS };

/* What the stub and Python share. `bind` is Python's: it fills one slot and puts out its content,
 * or nothing after saying why on stderr. It returns nothing, since what a signal handler of the host
 * raises before its first line would leave no result but garbage. emulator/runtime/boot.py mirrors
 * this struct. */
struct nvemu_control {
    const char *library;
    const char *driver;
    const char *fingerprint; /* of the function table both sides were generated from */
    const char *testbed;     /* NULL when the process was not started by nvemu */
    uint64_t count;
    _Atomic(void *) *slots;
    void (*bind)(uint32_t slot, void **handler);
    void *raise;       /* an exception to raise in the main thread when its call has returned */
    const _Atomic(uint64_t) *written; /* how much the testbed's journal holds, kept mapped */
    _Atomic(uint64_t) read;           /* how much of it Python has done */
    uint32_t embedded; /* a stub, this one or another, brought Python into the process */
};
extern struct nvemu_control nvemu_control;

/* Defined by the generated source. */
extern const char nvemu_library[], nvemu_fingerprint[];
extern const unsigned nvemu_count;
extern _Atomic(void *) nvemu_slots[];
extern const int nvemu_refusals[NVEMU_REFUSALS];

/* Python knows this thread. The main thread of a Python program needs more on each call. */
enum nvemu_thread { NVEMU_STRANGER, NVEMU_ATTACHED, NVEMU_MAIN };
extern __thread enum nvemu_thread nvemu_thread;
extern enum nvemu_refusal nvemu_refusal;

/* Answer every call from here on with the library's own code; says why, unless it is "". 0. */
int nvemu_refuse(enum nvemu_refusal why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void *nvemu_enter_slowly(unsigned slot);
void nvemu_leave_slowly(void);

/* Live control has said something that Python has not heard yet. */
static inline int nvemu_has_news(void)
{
    return atomic_load_explicit(nvemu_control.written, memory_order_relaxed) !=
           atomic_load_explicit(&nvemu_control.read, memory_order_relaxed);
}

static inline void *nvemu_enter(unsigned slot)
{
    void *handler = atomic_load_explicit(&nvemu_slots[slot], memory_order_acquire);
    if (__builtin_expect(handler && nvemu_thread == NVEMU_ATTACHED && !nvemu_has_news(), 1))
        return handler;
    return nvemu_enter_slowly(slot);
}

static inline void nvemu_leave(void)
{
    if (__builtin_expect(nvemu_thread == NVEMU_MAIN, 0))
        nvemu_leave_slowly();
}

#define NVEMU_RETURN(result, slot, types, arguments, refused)                                      \
    result(*handler) types = (result(*) types)nvemu_enter(slot);                                   \
    if (!handler)                                                                                  \
        return refused;                                                                            \
    result returned = handler arguments;                                                           \
    nvemu_leave();                                                                                 \
    return returned

#define NVEMU_STATUS(slot, types, arguments)                                                       \
    NVEMU_RETURN(int, slot, types, arguments, nvemu_refusals[nvemu_refusal])

#define NVEMU_TEXT(slot, types, arguments)                                                         \
    NVEMU_RETURN(const char *, slot, types, arguments,                                             \
                 "nvemu could not start; the reason is on stderr")

#define NVEMU_WORD(slot, types, arguments) NVEMU_RETURN(nvemu_word, slot, types, arguments, 0)

#endif
