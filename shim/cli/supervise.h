/*
 * Runs a command as a child so that nobody notices the process in between: it stays in the process group of its caller, stops
 * and goes on with the command, hands on the signals that others send, and ends as it ends.
 */
#ifndef CLI_SUPERVISE_H
#define CLI_SUPERVISE_H

/*
 * Calls `start` in a child, which has the signals, the mask and the descriptors that this process was started with; what `start`
 * returns is the child's exit status. Returns the child's wait status, or -1 with errno where there was no child to be had.
 * From then on this process has only stderr open, and is in the root directory.
 */
int supervise(int (*start)(void *context), void *context);

/* Ends this process with that wait status: the same exit status, or by the same signal. */
void supervise_end(int wait_status) __attribute__((noreturn));

#endif
