/* The Python of this process: the one that the program runs, or one that the stub brings along. */
#ifndef NVEMU_PYTHON_H
#define NVEMU_PYTHON_H

#include "forward.h"

#include <stddef.h>

/* The C API that is called, found by dlsym in whatever Python the process has. */
#define NVEMU_PYTHON_API(X)                                                                        \
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
    X(int, Py_AddPendingCall, (int (*)(void *), void *))                                           \
    X(void, PyOS_BeforeFork, (void))                                                               \
    X(void, PyOS_AfterFork_Parent, (void))                                                         \
    X(void, PyOS_AfterFork_Child, (void))                                                          \
    X(void *, PyDict_New, (void))                                                                  \
    X(int, PyDict_SetItemString, (void *, const char *, void *))                                   \
    X(void *, PyLong_FromVoidPtr, (void *))                                                        \
    X(void *, PyUnicode_DecodeFSDefault, (const char *))                                           \
    X(void *, PyRun_StringFlags, (const char *, int, void *, void *, void *))                      \
    X(int, PyErr_CheckSignals, (void))                                                             \
    X(void, PyErr_Fetch, (void **, void **, void **))                                              \
    X(void, PyErr_NormalizeException, (void **, void **, void **))                                 \
    X(void, PyErr_SetObject, (void *, void *))                                                     \
    X(void *, PyObject_Type, (void *))                                                             \
    X(void, PyErr_Print, (void))                                                                   \
    X(void, Py_DecRef, (void *))

struct nvemu_python {
#define NVEMU_DECLARE(result, name, types) result(*name) types;
    NVEMU_PYTHON_API(NVEMU_DECLARE)
#undef NVEMU_DECLARE
};
extern struct nvemu_python py;

enum nvemu_python_kind { NVEMU_NO_PYTHON, NVEMU_RUNNING, NVEMU_EMBEDDED };

/* Have a Python: the running one, else an embedded one. NVEMU_NO_PYTHON after nvemu_refuse. */
enum nvemu_python_kind nvemu_have_python(void);

/* Give emulator.runtime.boot the stub's control struct; 0 when it did not take over: refused, or,
 * with control->raise set, interrupted. */
int nvemu_hand_over(struct nvemu_control *control);

/* The exception that is set, taken out of Python's hands. */
void *nvemu_take_exception(void);

/* The testbed's folder, NULL when there is none. */
const char *nvemu_testbed(void);

/* The first bytes of the testbed's journal, mapped; NULL when it has none. */
const void *nvemu_journal(void);

#endif
