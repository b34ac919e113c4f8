/*
 * The name of a stage: ".<base>.etxtbsy-<kind><pid>-<12 hex digits>", where base is the target's name and pid its creator's. The
 * last three of the digits say in which PID namespace that is (0 where there is no /proc), the others are random.
 * It holds all that another process needs to finish the stage. A base that would make the name longer than NAME_MAX is cut,
 * and a "+" then stands for the last "-": only a process that knows the target otherwise can finish such a stage.
 *
 * Hidden, random, and of no form that run-parts, systemd or a *.conf directory takes for its own.
 *
 * Two other names are like it, and none is ever taken for another: of bytes that could not be delivered, and of a generation
 * (generation.h), ".<base>.etxtbsy-was-<number>", from 1, without leading zeros.
 */
#ifndef STAGE_NAME_H
#define STAGE_NAME_H

#include <linux/limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What was there when the stage was made; the letter stands in the name. */
enum stage_kind {
    STAGE_OF_BUSY, /* the target, and it was being executed: no swap file, then; no letter */
    STAGE_OF_IDLE, /* the target, and it was not: "i" */
    STAGE_OF_NEW,  /* nothing: "n" */
};

struct stage_name {
    enum stage_kind kind;
    size_t base_length; /* the base starts behind the leading dot */
    bool whole;         /* false: the base was cut */
    pid_t creator;
    unsigned origin; /* what the creator's number is one of: STAGE_ORIGIN_BITS of the PID namespace's */
};

#define STAGE_ORIGIN_BITS 12

/* `number` is what the digits are: see above. */
void stage_name_make(char name[NAME_MAX + 1], const char *base, enum stage_kind kind, pid_t creator, uint64_t number);

/*
 * Turns a stage's name into that of a file which nobody will take for a stage: the bytes in it could not be delivered, and
 * somebody has to look at them. ".app.etxtbsy-12-0123456789ab" becomes ".app.etxtbsy-kept-12-0123456789ab".
 */
void stage_name_keep(char kept[NAME_MAX + 1], const char *name);
bool stage_name_is_kept(const char *name);

/* False for anything that stage_name_make doesn't make. */
bool stage_name_parse(const char *name, struct stage_name *);

/* Whether the name, and what it was parsed into, is that of a stage of `base`; of a cut one that can't be told for sure. */
bool stage_name_is_of(const char *name, const struct stage_name *, const char *base);

#define GENERATION_MAX UINT64_C(999999999)

/* False where it would be longer than a name can be, or the number isn't one of a generation. */
bool generation_name_make(char name[NAME_MAX + 1], const char *base, uint64_t number);

/* The number of a generation of `base`, or of any file with NULL; 0 for all other names. */
uint64_t generation_name_parse(const char *name, const char *base);

#endif
