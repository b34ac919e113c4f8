/*
 * What whole-program tests need: a fresh directory with a target, programs that run from it or hold it open, commands with
 * and without the shim, and the lines that the shim wrote, each examined against the schema.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/types.h>

/* By which calls the shim does what has another one where a word has 32 bits. */
#ifdef SYS_fcntl64
#define FCNTL SYS_fcntl64
#define LSEEK SYS__llseek
#define MMAP SYS_mmap2
#else
#define FCNTL SYS_fcntl
#define LSEEK SYS_lseek
#define MMAP SYS_mmap
#endif

/* BUILD_DIR and SOURCE_DIR are absolute paths that the Makefile gives. */
#define LIBRARY BUILD_DIR "/libetxtbsy.so"
/* For ld.so: with $LIB in it where programs of several kinds are at work. */
#ifndef PRELOAD
#define PRELOAD LIBRARY
#endif
#ifndef TARGET_PROGRAM /* a program under an emulator isn't busy: there it is one of this machine */
#define TARGET_PROGRAM BUILD_DIR "/tests/target"
#endif
#define NEW_PROGRAM BUILD_DIR "/tests/cases"

struct place {
    char root[PATH_MAX / 4];      /* removed at the end */
    char directory[PATH_MAX / 3]; /* in it: what a command may see and change */
    char target[PATH_MAX / 2];    /* in the directory: a copy of TARGET_PROGRAM */
    char new[PATH_MAX / 2];       /* a copy of NEW_PROGRAM */
    char log[PATH_MAX / 2], out[PATH_MAX / 2], err[PATH_MAX / 2];
    char shared_build[PATH_MAX / 3]; /* empty: BUILD_DIR serves */
};

/* Makes a place. Ends the test as skipped on a kernel that doesn't enforce ETXTBSY on that file system. */
void place_make(struct place *);

/* Makes the directory, the target and the new file afresh, and empties the log. */
void place_reset(struct place *);

/* The same, but keeps the log. */
void place_reset_files(struct place *);

/*
 * From now on $BUILD is in the place, with the library, the target and the new program in it: the build itself may be in a
 * directory that other users can't look into.
 */
void place_share_build(struct place *);

/* Kills what was started, removes everything. */
void place_remove(struct place *);

/* Runs `path` until the place is removed; returns when it is executing. */
pid_t run_busy(const char *path);

/* A process that holds `path` open for writing for so long; returns when it does. Negative: until the place is removed. */
pid_t hold_open(const char *path, int milliseconds);

/*
 * The same, but the time starts when somebody else opens the file (as a failing exec does): whoever starts it then is sure to
 * find it busy.
 */
pid_t hold_until_tried(const char *path, int milliseconds);

enum lock { NO_LOCK, FLOCK_SHARED, FLOCK_EXCLUSIVE, POSIX_READ, POSIX_WRITE, OFD_READ, OFD_WRITE };

/*
 * A process that has a lock on `path`, a record lock on its first byte, and lets go of it so long after somebody else has opened
 * the file. Negative: not before the place is removed. POSIX_WRITE and OFD_WRITE have it open for writing.
 */
pid_t hold_lock(const char *path, enum lock, int milliseconds);

void stop(pid_t);

/* Whether somebody wants the long form of a test (ETXTBSY_TEST_ALL): see prove.mk. */
bool take_all(void);

enum shim { WITHOUT_SHIM, WITH_SHIM };

/* An environment: every open and truncate that empties a file is redirected, busy or not. */
#define ATOMIC "ETXTBSY_WRITE=atomic ETXTBSY_TRUNCATE=atomic"

/*
 * Runs a command by /bin/sh in the place's directory, with $TARGET, $NEW, $PROGRAM ($TARGET as well) and $BUILD; `environment` is
 * "NAME=value" words with blanks between them, or NULL. Output goes to the place's out and err. Returns the wait status.
 */
int run_shell(const struct place *, enum shim, const char *environment, const char *command);

/* The same for a program and its arguments, up to a NULL. */
int run_program_with(const struct place *, enum shim, const char *environment, const char *const argv[]);

/* The same, not waited for. `prepare` is called in the child just before its exec, or is NULL. */
pid_t start_program_with(const struct place *, enum shim, const char *environment, const char *const argv[], void (*prepare)(void));

/* Exit status of a wait status, or 128 + signal. */
int status_code(int wait_status);

/* A whole file as a terminated string, to be freed; "" for a missing one. *length may be NULL. */
char *read_file(const char *path, size_t *length);
void write_file(const char *path, const char *content, mode_t mode);
bool same_content(const char *path, const char *other);

/* Names, types, modes, owners, extended attributes and contents of everything in a directory, as text to be freed. */
char *tree_text(const char *directory);

/* How many names in the directory are the shim's. */
int litter_count(const struct place *);

/* The lines of the log, parsed; each is checked against the schema (a failing one fails the test). */
struct json_object *log_lines(const struct place *);
size_t log_count(const struct place *, const char *field, const char *value);
const char *line_string(struct json_object *line, const char *field);
int64_t line_number(struct json_object *line, const char *field);

/*
 * Gives this process, and what it starts, mounts of its own: nothing that is mounted then is seen elsewhere, and it is gone with
 * them. Returns false where that isn't allowed.
 */
bool have_own_mounts(void);

/* Whether a flock stays as long as a mapping of the file does; on overlay it doesn't. */
bool mapping_holds_lock(const char *directory);

/* Whether all of the blank-separated programs are on PATH. */
bool have_programs(const char *names, char missing[100]);

/* Waits up to five seconds for a condition on the file system. */
#define eventually(condition)                                                                                                      \
    ({                                                                                                                             \
        bool held_ = false;                                                                                                        \
        for (int tries_ = 0; tries_ < 500 && !(held_ = (condition)); tries_++)                                                     \
            usleep(10000);                                                                                                         \
        held_;                                                                                                                     \
    })

/* What a command says in a place, without the shim. Both texts are the caller's. */
struct said {
    int status;
    char *out, *err;
};
struct said ask(const struct place *, const char *command);

/* What stands in `out` and `err` has to be there; an empty string stands for nothing at all. */
void expect_said(const struct place *, const char *command, int status, const char *out, const char *err);

/* How often `part` stands in a text. */
unsigned count_of(const char *text, const char *part);

/* A member that has to be there. */
struct json_object *json_field(struct json_object *, const char *name);

#endif
