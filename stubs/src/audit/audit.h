/* What the parts of the audit module share: records of evidence, what concerns us, and the calls of
 * the C library that are watched. See audit.c. */
#ifndef NVEMU_AUDIT_H
#define NVEMU_AUDIT_H

#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- record.c: one JSON line of evidence.jsonl ---- */

extern char evidence[];      /* the path of that file; "" where nothing is recorded */
extern atomic_int confined;  /* by seccomp, which may end the process for opening a file */

struct record {
    char *text;
    size_t used, full;
};

/* REST is free behind what is full, for the names and brackets that close a record: texts end there
 * and lists have no more items, so that a record which is cut short is JSON all the same. The text
 * is on the stack of a thread, which may have 16 KiB in all. */
enum { REST = 512 };
#define RECORD(name)                                                                               \
    char name##_text[4096];                                                                        \
    struct record name = {.text = name##_text, .full = sizeof name##_text - REST}

void begin(struct record *record, const char *event);
void add(struct record *record, const char *key, const char *value); /* NULL is null */
void add_truth(struct record *record, const char *key, int value);
void add_number(struct record *record, const char *key, long value);
void add_list(struct record *record, const char *key, char *const *texts); /* up to NULL */
void add_pairs(struct record *record, const char *key, const char *const (*pairs)[2], size_t count);
void end(struct record *record);

/* ---- concern.c: which files and objects have to do with GPUs ---- */

extern char testbed[]; /* its folder */

int begins(const char *text, const char *with);
int is_ours(const char *path);         /* in the testbed */
int is_telling(const char *library);   /* by its name */
int is_telling_file(const char *path); /* a device file, say; not what nvemu itself looks at */
int library_of(const char *name);      /* the number of the library that is called so, or -1 */
const char *soname_of_library(int number);
const char *state_of(const char *path); /* what the loader would make of a file */

const char *file_name(const char *path);
const char *path_of(const struct link_map *map); /* NULL for the program itself */
const char *soname_of(const struct link_map *map);
const void *function_of(const struct link_map *map, const char *name); /* that it exports */

/* ---- calls.c: calls of the C library that are looked at ---- */

/* Keep what watching needs of the program's own C library: this module has another. */
void find_theirs(const struct link_map *libc);

/* What whoever binds a function of it is given in its place. */
uintptr_t watch(const char *name, uintptr_t address);

#endif
