/*
 * What `etxtbsy doctor` examines: doctor.c knows the subjects, the others add findings.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "findings.h"

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

#endif
