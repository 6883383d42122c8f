/* Finding or bringing a Python, and handing the stub over to it. */
#define _GNU_SOURCE
#include "python.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fcntl.h>

struct nvemu_python py;

/* What nvemu left for us beside the stub's folder: lines of key=value. */
static struct boot {
    char testbed[PATH_MAX], libpython[PATH_MAX], home[PATH_MAX], root[PATH_MAX];
} boot;

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
    "except Exception as problem:\n"
    "    step = problem.__traceback__\n"
    "    while step.tb_next:\n"
    "        step = step.tb_next\n"
    "    name = step.tb_frame.f_code.co_filename\n"
    "    ours = step.tb_frame.f_globals is globals() or name.startswith((root, '<frozen'))\n"
    "    standard = name.startswith(sys.base_prefix) and 'site-packages' not in name\n"
    "    if not ours and not standard:\n"
    "        raise  # a signal handler's of the host\n"
    "    text = str(problem)\n"
    "    if not isinstance(problem, RuntimeError):\n"
    "        text = 'cannot start in this Python %s: %s: %s' % (\n"
    "            sys.version.split()[0], type(problem).__name__, text)\n"
    "    __import__('os').write(2, ('nvemu: %s\\n' % text).encode('utf-8', 'backslashreplace'))\n";
/* For a Python that is ours alone: the other library's stub, which finds it running, must know; and
 * looking for garbage every 700 objects, among modules that stay, is a tenth of a cold start. */
static const char prepare[] =
    "import gc, sys\n"
    "sys._nvemu_embedded = True\n"
    "gc.set_threshold(100000)\n";
enum { FILE_INPUT = 257 }; /* Py_file_input, of the stable ABI */

/* ---- the testbed ---- */

/* The file names a library to load: it must be ours, and nobody else's to write. */
static int is_ours(FILE *file)
{
    struct stat status;
    return !fstat(fileno(file), &status) && !(status.st_mode & (S_IWGRP | S_IWOTH)) &&
           (status.st_uid == geteuid() || status.st_uid == 0);
}

static int read_boot_file(const char *folder)
{
    char line[PATH_MAX + 16], path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/boot", folder);
    FILE *file = fopen(path, "re");
    if (file && !is_ours(file)) {
        fclose(file);
        file = NULL;
    }
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
}

const char *nvemu_testbed(void)
{
    return *boot.testbed ? boot.testbed : NULL;
}

const void *nvemu_journal(void)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/journal", boot.testbed);
    int file = *boot.testbed ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return NULL;
    struct stat status;
    void *mapped = MAP_FAILED; /* of an empty file every access would fail */
    if (!fstat(file, &status) && status.st_size >= (off_t)sizeof(uint64_t))
        mapped = mmap(NULL, sizeof(uint64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    return mapped == MAP_FAILED ? NULL : mapped;
}

/* ---- Python ---- */

static const char *find_api(void *library)
{
#define FIND(result, name, types)                                                                  \
    if (!(*(void **)&py.name = dlsym(library, #name)))                                             \
        return #name;
    NVEMU_PYTHON_API(FIND)
#undef FIND
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

/* Py_InitializeEx ends the process when it does not find the standard library. */
static int has_home(void)
{
    int major = 0, minor = 0;
    const char *name = strrchr(boot.libpython, '/');
    char path[PATH_MAX + 64];
    if (!name || sscanf(name, "/libpython%d.%d", &major, &minor) != 2)
        return 0;
    snprintf(path, sizeof path, "%s/lib/python%d.%d/encodings/__init__.py", boot.home, major, minor);
    return !access(path, R_OK);
}

static int embed_python(void)
{
    if (!*boot.testbed)
        return nvemu_refuse(NVEMU_NOT_FOUND,
                      "no testbed: start the program with `nvemu run`, or put the folder that "
                      "`nvemu stubs path` prints on LD_LIBRARY_PATH");
    if (!*boot.libpython)
        return nvemu_refuse(NVEMU_NOT_FOUND, "no libpython to embed in this program: install Python's "
                                       "shared library (Debian: libpython3-dev) and start again");
    if (!access(boot.libpython, R_OK) && !has_home())
        return nvemu_refuse(NVEMU_NOT_FOUND,
                            "%s has no standard library under %s any more: start again",
                            boot.libpython, boot.home);
    void *library = dlopen(boot.libpython, RTLD_NOW | RTLD_GLOBAL);
    const char *missing = library ? find_api(library) : NULL;
    if (!library)
        return nvemu_refuse(NVEMU_NOT_FOUND, "cannot load Python's shared library: %s", dlerror());
    if (missing)
        return nvemu_refuse(NVEMU_NOT_FOUND, "%s has no %s: a Python of 3.9 to 3.14 is needed",
                      boot.libpython, missing);
    set_flags(library);
    char locale[256];
    snprintf(locale, sizeof locale, "%s", setlocale(LC_CTYPE, NULL));
    if (*boot.home)
        py.Py_SetPythonHome(py.Py_DecodeLocale(boot.home, NULL));
    py.Py_InitializeEx(0);
    void *globals = py.PyDict_New();
    py.PyRun_StringFlags(prepare, FILE_INPUT, globals, globals, NULL);
    setlocale(LC_CTYPE, locale); /* Py_InitializeEx takes the environment's; the host's stays */
    py.PyEval_SaveThread();
    return 1;
}

static int use_running_python(void)
{
    int major = 0, minor = 0;
    const char *missing = find_api(RTLD_DEFAULT);
    if (py.Py_GetVersion)
        sscanf(py.Py_GetVersion(), "%d.%d", &major, &minor);
    if (missing || major != 3 || minor < 9)
        return nvemu_refuse(NVEMU_NOT_FOUND, "this program runs Python %d.%d; nvemu needs 3.9 or newer",
                      major, minor);
    return 1;
}

/* An installed testbed is root's, and its boot file not ours to lock. This file is another one in
 * each process, and a lock of this kind needs no right to write. */
static int lock_own_file(void)
{
    int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    while (file >= 0 && flock(file, LOCK_EX) && errno == EINTR)
        ;
    return file;
}

/* The stubs of both libraries may be called first at the same time, and share no memory. So they
 * lock a byte of the boot file, each process its own: these locks belong to an open file, and so
 * keep threads of one process apart, too. */
static int lock_process(void)
{
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/boot", boot.testbed);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = getpid(), .l_len = 1};
    int file = *boot.testbed ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return lock_own_file();
    while (fcntl(file, F_OFD_SETLKW, &lock) && errno == EINTR)
        ;
    return file;
}

enum nvemu_python_kind nvemu_have_python(void)
{
    enum nvemu_python_kind found = NVEMU_NO_PYTHON;
    int locked = lock_process();
    if (python_runs())
        found = use_running_python() ? NVEMU_RUNNING : NVEMU_NO_PYTHON;
    else if (dlsym(RTLD_DEFAULT, "Py_IsInitialized"))
        nvemu_refuse(NVEMU_NOT_FOUND, "this program has a Python that it has not started yet: "
                                      "it must start it before its first call");
    else
        found = embed_python() ? NVEMU_EMBEDDED : NVEMU_NO_PYTHON;
    if (locked >= 0)
        close(locked);
    return found;
}

void *nvemu_take_exception(void)
{
    void *type, *value, *traceback;
    py.PyErr_Fetch(&type, &value, &traceback);
    py.PyErr_NormalizeException(&type, &value, &traceback);
    py.Py_DecRef(type);
    py.Py_DecRef(traceback);
    return value;
}

int nvemu_hand_over(struct nvemu_control *control)
{
    int gil = py.PyGILState_Ensure();
    if (!control->bind) { /* of several threads that come here at once, attach serves one */
        void *globals = py.PyDict_New();
        py.PyDict_SetItemString(globals, "control", py.PyLong_FromVoidPtr(control));
        py.PyDict_SetItemString(globals, "root", py.PyUnicode_DecodeFSDefault(boot.root));
        void *done = py.PyRun_StringFlags(bootstrap, FILE_INPUT, globals, globals, NULL);
        if (!done)
            control->raise = nvemu_take_exception(); /* a signal handler's: a Ctrl-C, say */
        py.Py_DecRef(done);
        py.Py_DecRef(globals);
    }
    py.PyGILState_Release(gil);
    if (control->bind || control->raise)
        return control->bind != NULL;
    return nvemu_refuse(*boot.root ? NVEMU_BROKEN : NVEMU_NOT_FOUND, "");
}
