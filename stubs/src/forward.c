/* How a call comes from any program into Python: boot, binding, threads, fork, exit.
 *
 * Boot happens once, on the first call. A process that already runs Python is used as it is;
 * any other gets a libpython embedded, isolated and without `site`. Then emulator.runtime.boot
 * is imported and given `control`, whose `bind` fills the slots from there on. */
#define _GNU_SOURCE
#include "forward.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef NVEMU_DRIVER
#error "compile with -DNVEMU_DRIVER=\"<driver version>\""
#endif

enum state { COLD, READY, REFUSED };

__thread enum nvemu_thread nvemu_thread;
enum nvemu_refusal nvemu_refusal = NVEMU_BROKEN; /* what `bind` cannot fill */
static atomic_int state;
static int embedded; /* this stub brought Python into the process */
static pthread_mutex_t embedding = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t attached; /* its destructor lets go of a thread */
static struct nvemu_control control = {.library = nvemu_library,
                                       .driver = NVEMU_DRIVER,
                                       .fingerprint = nvemu_fingerprint,
                                       .slots = nvemu_slots};

/* What nvemu left for us beside the stub's folder: lines of key=value. */
static struct boot {
    char testbed[PATH_MAX], libpython[PATH_MAX], home[PATH_MAX], root[PATH_MAX];
} boot;

/* The C API that is called, found by dlsym in whatever Python the process has. */
#define PYTHON_API(X)                                                                              \
    X(int, Py_IsInitialized, (void))                                                               \
    X(const char *, Py_GetVersion, (void))                                                         \
    X(void, Py_InitializeEx, (int))                                                                \
    X(void, Py_SetPythonHome, (const wchar_t *))                                                   \
    X(wchar_t *, Py_DecodeLocale, (const char *, size_t *))                                        \
    X(int, Py_AtExit, (void (*)(void)))                                                            \
    X(int, PyGILState_Ensure, (void))                                                              \
    X(void, PyGILState_Release, (int))                                                             \
    X(void *, PyGILState_GetThisThreadState, (void))                                               \
    X(void *, PyEval_SaveThread, (void))                                                           \
    X(void, PyEval_RestoreThread, (void *))                                                        \
    X(void, PyThreadState_Clear, (void *))                                                         \
    X(void, PyThreadState_DeleteCurrent, (void))                                                   \
    X(void, PyOS_BeforeFork, (void))                                                               \
    X(void, PyOS_AfterFork_Parent, (void))                                                         \
    X(void, PyOS_AfterFork_Child, (void))                                                          \
    X(void *, PyDict_New, (void))                                                                  \
    X(int, PyDict_SetItemString, (void *, const char *, void *))                                   \
    X(void *, PyLong_FromVoidPtr, (void *))                                                        \
    X(void *, PyUnicode_DecodeFSDefault, (const char *))                                           \
    X(void *, PyRun_StringFlags, (const char *, int, void *, void *, void *))                      \
    X(void, PyErr_Print, (void))                                                                   \
    X(int, PyErr_CheckSignals, (void))                                                             \
    X(void, PyErr_Fetch, (void **, void **, void **))                                              \
    X(void, Py_DecRef, (void *))                                                                   \
    X(int, PyThreadState_SetAsyncExc, (unsigned long, void *))                                     \
    X(unsigned long, PyThread_get_thread_ident, (void))
#define DECLARE(result, name, types) result(*name) types;
#define FIND(result, name, types)                                                                  \
    if (!(*(void **)&py.name = dlsym(library, #name)))                                             \
        return #name;
static struct { PYTHON_API(DECLARE) } py;

/* One name for the package whatever the host calls `emulator`: a package object without a file,
 * so that nothing but the runtime is imported. */
static const char bootstrap[] =
    "import sys\n"
    "try:\n"
    "    name = 'emulator' if 'emulator.runtime.boot' in sys.modules else '_nvemu'\n"
    "    if name == '_nvemu' and name not in sys.modules:\n"
    "        if not root:\n"
    "            raise RuntimeError('no testbed: start the program with `nvemu run`, or put the '\n"
    "                               'folder that `nvemu stubs path` prints on LD_LIBRARY_PATH')\n"
    "        package = type(sys)(name)\n"
    "        package.__path__ = [root + '/emulator']\n"
    "        sys.modules.setdefault(name, package)\n"
    "    boot = __import__(name + '.runtime.boot', fromlist=['attach'])\n"
    "    boot.attach(control)\n"
    "except BaseException as problem:\n"
    "    text = str(problem)\n"
    "    if not isinstance(problem, RuntimeError):\n"
    "        text = 'cannot start in this Python %s: %s: %s' % (\n"
    "            sys.version.split()[0], type(problem).__name__, text)\n"
    "    __import__('os').write(2, ('nvemu: %s\\n' % text).encode('utf-8', 'backslashreplace'))\n";
enum { FILE_INPUT = 257 }; /* Py_file_input, of the stable ABI */

static int refuse(enum nvemu_refusal why, const char *format, ...)
{
    char text[2 * PATH_MAX];
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

/* ---- the testbed ---- */

static int read_boot_file(const char *folder)
{
    char line[PATH_MAX + 16], path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/boot", folder);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    snprintf(boot.testbed, sizeof boot.testbed, "%s", folder);
    struct { const char *key; char *value; } keys[] = {
        {"libpython=", boot.libpython}, {"home=", boot.home}, {"root=", boot.root}};
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (!strncmp(line, keys[i].key, strlen(keys[i].key)))
                snprintf(keys[i].value, PATH_MAX, "%s", line + strlen(keys[i].key));
    }
    fclose(file);
    return 1;
}

/* The testbed is where this library lies (<testbed>/lib/<library>), also when the program cleared
 * its environment; else the variable names it. At load, while relative paths still hold. */
__attribute__((constructor)) static void find_testbed(void)
{
    Dl_info self;
    char path[PATH_MAX], *slash;
    if (dladdr(nvemu_library, &self) && realpath(self.dli_fname, path))
        for (int up = 0; up < 2 && (slash = strrchr(path, '/')); up++)
            *slash = 0;
    else
        *path = 0;
    const char *named = secure_getenv("NVEMU_TESTBED");
    if (!read_boot_file(path) && named)
        read_boot_file(named);
    control.testbed = *boot.testbed ? boot.testbed : NULL;
    control.count = nvemu_count;
}

/* ---- Python ---- */

static const char *find_api(void *library)
{
    PYTHON_API(FIND)
    return NULL;
}

/* A libpython that the program loaded RTLD_LOCAL is out of dlsym's sight until it is promoted. */
static int promote_libpython(struct dl_phdr_info *object, size_t size, void *unused)
{
    (void)size, (void)unused;
    const char *name = strrchr(object->dlpi_name, '/');
    return name && !strncmp(name, "/libpython3", 11) &&
           dlopen(object->dlpi_name, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
}

static int python_runs(void)
{
    int (*initialized)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "Py_IsInitialized");
    if (!initialized && dl_iterate_phdr(promote_libpython, NULL))
        initialized = (int (*)(void))dlsym(RTLD_DEFAULT, "Py_IsInitialized");
    return initialized && initialized();
}

static void before_fork(void);
static void after_fork_in_parent(void);
static void after_fork_in_child(void);

static void set_flags(void *library)
{
    static const char *const flags[] = {"Py_NoSiteFlag", "Py_IsolatedFlag", "Py_FrozenFlag",
                                        "Py_IgnoreEnvironmentFlag", "Py_NoUserSiteDirectory",
                                        "Py_DontWriteBytecodeFlag"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int *flag = dlsym(library, flags[i]);
        if (flag)
            *flag = 1;
    }
}

static int embed_python(void)
{
    if (!*boot.testbed)
        return refuse(NVEMU_NOT_FOUND,
                      "no testbed: start the program with `nvemu run`, or put the folder that "
                      "`nvemu stubs path` prints on LD_LIBRARY_PATH");
    if (!*boot.libpython)
        return refuse(NVEMU_NOT_FOUND, "no libpython to embed in this program: install Python's "
                                       "shared library (Debian: libpython3-dev) and start again");
    void *library = dlopen(boot.libpython, RTLD_NOW | RTLD_GLOBAL);
    const char *missing = library ? find_api(library) : NULL;
    if (!library)
        return refuse(NVEMU_NOT_FOUND, "cannot load Python's shared library: %s", dlerror());
    if (missing)
        return refuse(NVEMU_NOT_FOUND, "%s has no %s: a Python of 3.9 to 3.14 is needed",
                      boot.libpython, missing);
    set_flags(library);
    char locale[256];
    snprintf(locale, sizeof locale, "%s", setlocale(LC_CTYPE, NULL));
    if (*boot.home)
        py.Py_SetPythonHome(py.Py_DecodeLocale(boot.home, NULL));
    py.Py_InitializeEx(0);
    setlocale(LC_CTYPE, locale); /* Py_InitializeEx takes the environment's; the host's stays */
    py.PyEval_SaveThread();
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    return embedded = 1;
}

static int use_running_python(void)
{
    int major = 0, minor = 0;
    const char *missing = find_api(RTLD_DEFAULT);
    if (py.Py_GetVersion)
        sscanf(py.Py_GetVersion(), "%d.%d", &major, &minor);
    if (missing || major != 3 || minor < 9)
        return refuse(NVEMU_NOT_FOUND, "this program runs Python %d.%d; nvemu needs 3.9 or newer",
                      major, minor);
    pthread_atfork(NULL, NULL, empty_slots);
    return 1;
}

/* Python is gone after this: static destructors that still call get the library's own refusal. */
static void python_ended(void)
{
    empty_slots();
    refuse(NVEMU_CLOSED, "");
}

static int hand_over(void)
{
    int gil = py.PyGILState_Ensure();
    if (!control.bind) { /* of several threads that come here at once, attach serves one */
        void *globals = py.PyDict_New();
        py.PyDict_SetItemString(globals, "control", py.PyLong_FromVoidPtr(&control));
        py.PyDict_SetItemString(globals, "root", py.PyUnicode_DecodeFSDefault(boot.root));
        if (!py.PyRun_StringFlags(bootstrap, FILE_INPUT, globals, globals, NULL))
            py.PyErr_Print();
        py.Py_AtExit(python_ended);
    }
    py.PyGILState_Release(gil);
    return control.bind ? 1 : refuse(*boot.root ? NVEMU_BROKEN : NVEMU_NOT_FOUND, "");
}

/* Not PyGILState_Release: by now glibc has emptied the thread-specific key that it looks at. */
static void detach_thread(void *thread_state)
{
    if (atomic_load(&state) != READY)
        return;
    py.PyEval_RestoreThread(thread_state);
    py.PyThreadState_Clear(thread_state);
    py.PyThreadState_DeleteCurrent();
}

static void start(void)
{
    pthread_mutex_lock(&embedding);
    int runs = atomic_load(&state) != COLD || py.Py_GetVersion ||
               (python_runs() ? use_running_python() : embed_python());
    if (runs && !attached && pthread_key_create(&attached, detach_thread))
        runs = refuse(NVEMU_BROKEN, "no thread-specific key is left in this process");
    pthread_mutex_unlock(&embedding); /* before the GIL: its holder may be waiting for us */
    if (runs && atomic_load(&state) == COLD && hand_over())
        atomic_store(&state, READY);
}

/* Taking a new thread state on every call would cost twenty times the call itself, so a thread
 * that Python does not know keeps its first one until it ends. */
static void attach_thread(void)
{
    if (!py.PyGILState_GetThisThreadState()) {
        py.PyGILState_Ensure();
        pthread_setspecific(attached, py.PyEval_SaveThread());
    }
    nvemu_thread = !embedded && gettid() == getpid() ? NVEMU_MAIN : NVEMU_ATTACHED;
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
    if (py.PyErr_CheckSignals()) {
        void *value, *traceback;
        py.PyErr_Fetch(&control.raise, &value, &traceback);
        py.Py_DecRef(value);
        py.Py_DecRef(traceback);
    }
}

void nvemu_leave_slowly(void)
{
    if (--depth)
        return;
    if (control.raise) {
        py.PyThreadState_SetAsyncExc(py.PyThread_get_thread_ident(), control.raise);
        control.raise = NULL;
    }
    py.PyGILState_Release(gil);
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
    if (!handler)
        handler = control.bind(slot);
    if (!handler)
        nvemu_leave();
    return handler;
}

/* ---- fork: in a host that is no Python program nobody else tells the interpreter. The child's
 * empty slots make its first call pass through `bind`, which sees the new process id. ---- */

static __thread int forking;

static void before_fork(void)
{
    forking = py.PyGILState_Ensure();
    py.PyOS_BeforeFork();
}

static void after_fork_in_parent(void)
{
    py.PyOS_AfterFork_Parent();
    py.PyGILState_Release(forking);
}

static void after_fork_in_child(void)
{
    py.PyOS_AfterFork_Child();
    py.PyGILState_Release(forking);
    empty_slots();
}
