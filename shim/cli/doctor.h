/*
 * What `etxtbsy doctor` finds, one sentence for each: doctor.c knows the subjects and shows the findings, the others make them.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum finding_state {
    FINDING_FINE,
    FINDING_NOTE,    /* worth knowing; the library does its work */
    FINDING_PROBLEM, /* the library won't do its work here */
};

/* `remedy` may be NULL. The texts are kept as copies; what somebody else chose may be in them. */
void doctor_find(enum finding_state, const char *name, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* doctor_machine.c: the kernel, /proc, the configuration, limits; the file system of a directory, if it may be written to. */
void doctor_machine(const char *library);
void doctor_directory(const char *directory);

/* doctor_program.c: whether the library can be loaded into a program, or is loaded into a process and its children. */
void doctor_program(const char *path);
void doctor_command(int argc, char **argv); /* the environment that the command would give it, too */
void doctor_process(pid_t);

/* doctor_unit.c: a systemd unit, as systemctl shows it. False when that can't be asked, which has been said. */
bool doctor_unit(const char *unit);
bool doctor_is_unit(const char *name);

/* Whether one of a list of libraries, as in LD_PRELOAD, is this one by its name. */
bool doctor_names_library(const char *list);

#define DOCTOR_LIBRARY "libetxtbsy.so"

#endif
