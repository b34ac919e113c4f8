#include "call.h"

#include <stdarg.h>

#include "next.h"

static long call_first(long number, ...);

long (*sys_call)(long number, ...) = call_first;

/* The first system call finds libc's syscall() and then leaves the way to it. Threads that meet here store the same value. */
static long call_first(long number, ...)
{
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);

    long (*libc_syscall)(long, ...) = (long (*)(long, ...))next_symbol("syscall");
    sys_call = libc_syscall;
    return libc_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
