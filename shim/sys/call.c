#include "call.h"

#include "next.h"

/* The first system call finds libc's syscall() and then leaves the way to it. Threads that meet here store the same value. */
static long call_first(long number, long a, long b, long c, long d, long e, long f)
{
    sys_entry = (sys_function *)next_symbol("syscall");
    return sys_entry(number, a, b, c, d, e, f);
}

sys_function *sys_entry = call_first;
