/*
 * What `etxtbsy run` says at the end: one line on what happened, and one for each file whose old version is still running.
 */
#ifndef CLI_SUMMARY_H
#define CLI_SUMMARY_H

/* Reads the log, and writes to stderr; nothing where there were no interventions. */
void summary_say(const char *log);

#endif
