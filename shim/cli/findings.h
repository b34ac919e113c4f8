/*
 * What an examination has found, one sentence for each, in the order in which it was found; and how it is shown.
 */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

enum finding_state {
    FINDING_FINE,
    FINDING_NOTE,    /* worth knowing; the library does its work */
    FINDING_PROBLEM, /* the library won't do its work here */
};

/* `remedy` may be NULL. The texts are kept as copies; what somebody else chose may be in them. */
void finding_add(enum finding_state, const char *name, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A cli_status: that of the worst finding; CLI_TROUBLE when there is none at all. */
int findings_status(void);

void findings_as_table(void);
void findings_as_json(const char *subject);

#endif
