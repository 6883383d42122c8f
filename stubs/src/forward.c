/* How a call comes from any program into Python: boot, binding, threads, signals, fork, exit.
 *
 * Boot happens once, on the first call: a Python is found or brought (python.c), then
 * emulator.runtime.boot is given `nvemu_control`, whose `bind` fills the slots from there on. */
#define _GNU_SOURCE
#include "python.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef NVEMU_DRIVER
#error "compile with -DNVEMU_DRIVER=\"<driver version>\""
#endif

/* What tells a stub from all other libraries of its name; emulator/stubfiles.py reads it. */
__attribute__((section(".note.nvemu"), used, aligned(4))) static const struct {
    uint32_t owner_size, driver_size, type;
    char owner[8]; /* padded to a multiple of four */
    char driver[sizeof NVEMU_DRIVER];
} note = {sizeof "nvemu", sizeof NVEMU_DRIVER, 1, "nvemu", NVEMU_DRIVER};

enum state { COLD, READY, REFUSED };

__thread enum nvemu_thread nvemu_thread;
enum nvemu_refusal nvemu_refusal = NVEMU_BROKEN; /* what `bind` cannot fill */
static atomic_int state;
static enum nvemu_python_kind python;
static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t attached; /* its destructor lets go of a thread */
static const _Atomic(uint64_t) silence; /* the journal of a process without a testbed */
struct nvemu_control nvemu_control = {.library = nvemu_library,
                                      .driver = NVEMU_DRIVER,
                                      .fingerprint = nvemu_fingerprint,
                                      .slots = nvemu_slots,
                                      .written = &silence};

int nvemu_refuse(enum nvemu_refusal why, const char *format, ...)
{
    char text[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (*text)
        dprintf(STDERR_FILENO, "nvemu: %s: %s\n", nvemu_library, text);
    nvemu_refusal = why;
    atomic_store(&state, REFUSED);
    return 0;
}

static void empty_slots(void)
{
    for (unsigned slot = 0; slot < nvemu_count; slot++)
        atomic_store(&nvemu_slots[slot], NULL);
}

/* ---- threads: taking a new thread state on every call would cost twenty times the call itself,
 * so a thread that Python does not know keeps its first one until it ends. ---- */

/* Not PyGILState_Release: by now glibc has emptied the thread-specific key that it looks at. */
static void detach_thread(void *thread_state)
{
    if (atomic_load(&state) != READY)
        return;
    py.PyEval_RestoreThread(thread_state);
    py.PyThreadState_Clear(thread_state);
    py.PyThreadState_DeleteCurrent();
}

static void attach_thread(void)
{
    if (!py.PyGILState_GetThisThreadState()) {
        py.PyGILState_Ensure();
        pthread_setspecific(attached, py.PyEval_SaveThread());
    }
    nvemu_thread = !nvemu_control.embedded && gettid() == getpid() ? NVEMU_MAIN : NVEMU_ATTACHED;
}

/* ---- signals: in the main thread of a Python program, Python runs the handlers of signals
 * whenever it likes, for choice on entry to the next Python function. That would be ours, whose
 * exceptions ctypes throws away, and the Ctrl-C would be lost. So they are run here, before the
 * call, and what they raise is raised when the call has returned. ---- */

static __thread int depth, gil;

static void run_signal_handlers(void)
{
    if (depth++)
        return;
    gil = py.PyGILState_Ensure(); /* held over the call, so that no other thread interrupts it */
    if (py.PyErr_CheckSignals())
        nvemu_control.raise = nvemu_take_exception();
}

static int raise_now(void *exception)
{
    void *type = py.PyObject_Type(exception);
    py.PyErr_SetObject(type, exception);
    py.Py_DecRef(type);
    py.Py_DecRef(exception);
    return -1;
}

/* Python's main thread does it before its next step, which is after the call has returned. */
static void raise_soon(void)
{
    py.Py_AddPendingCall(raise_now, nvemu_control.raise);
    nvemu_control.raise = NULL;
}

void nvemu_leave_slowly(void)
{
    if (--depth)
        return;
    if (nvemu_control.raise)
        raise_soon();
    py.PyGILState_Release(gil);
}

/* ---- the first call ---- */

/* Python is gone after this: static destructors that still call get the library's own refusal. */
static void python_ended(void)
{
    empty_slots();
    nvemu_refuse(NVEMU_CLOSED, "");
}

static int settle_in(void)
{
    if (pthread_key_create(&attached, detach_thread))
        return nvemu_refuse(NVEMU_BROKEN, "no thread-specific key is left in this process");
    py.Py_AtExit(python_ended);
    nvemu_control.testbed = nvemu_testbed();
    const void *journal = nvemu_journal();
    if (journal)
        nvemu_control.written = journal;
    nvemu_control.count = nvemu_count;
    return 1;
}

static void start(void)
{
    pthread_mutex_lock(&starting);
    int settled = python != NVEMU_NO_PYTHON;
    if (!settled && atomic_load(&state) == COLD)
        settled = (python = nvemu_have_python()) != NVEMU_NO_PYTHON && settle_in();
    /* A fork waits for the lock, so it is kept while our Python imports; in a Python program the
     * GIL's holder may be waiting for us, and forks are Python's own. */
    if (python != NVEMU_EMBEDDED)
        pthread_mutex_unlock(&starting);
    if (settled && atomic_load(&state) == COLD && nvemu_hand_over(&nvemu_control))
        atomic_store(&state, READY);
    if (nvemu_control.raise)
        raise_soon();
    if (python == NVEMU_EMBEDDED)
        pthread_mutex_unlock(&starting);
}

/* ---- fork: in a host that is no Python program nobody else tells the interpreter. A fork in the
 * middle of a start would leave the child half a Python, so it waits for the start's end. The
 * child's empty slots make its first call pass through `bind`, which sees the new process id. ---- */

static __thread int told, forking_gil;

static void before_fork(void)
{
    pthread_mutex_lock(&starting);
    told = python == NVEMU_EMBEDDED && atomic_load(&state) == READY;
    if (!told)
        return;
    if (nvemu_thread == NVEMU_STRANGER)
        attach_thread(); /* the child must not be left without any thread state: 3.11 dies of it */
    forking_gil = py.PyGILState_Ensure();
    py.PyOS_BeforeFork();
}

static void after_fork_in_parent(void)
{
    if (told) {
        py.PyOS_AfterFork_Parent();
        py.PyGILState_Release(forking_gil);
    }
    pthread_mutex_unlock(&starting);
}

static void after_fork_in_child(void)
{
    if (told) {
        py.PyOS_AfterFork_Child();
        py.PyGILState_Release(forking_gil);
    }
    pthread_mutex_unlock(&starting);
    nvemu_thread = NVEMU_STRANGER; /* it may be the main thread now */
    empty_slots();
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void *nvemu_enter_slowly(unsigned slot)
{
    if (atomic_load(&state) == COLD)
        start();
    if (atomic_load(&state) != READY)
        return NULL;
    if (nvemu_thread == NVEMU_STRANGER)
        attach_thread();
    if (nvemu_thread == NVEMU_MAIN)
        run_signal_handlers();
    void *handler = atomic_load_explicit(&nvemu_slots[slot], memory_order_acquire);
    if (!handler || nvemu_has_news()) {
        handler = NULL;
        nvemu_control.bind(slot, &handler);
    }
    if (!handler)
        nvemu_leave();
    return handler;
}
