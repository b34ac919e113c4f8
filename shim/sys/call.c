#include "call.h"

/*
 * The instruction itself, where it is known here: libc's syscall() stands behind this library's own and would have to be looked up,
 * in every process that starts.
 */
#if defined(__x86_64__)

AT_START static long enter_kernel(long number, long a, long b, long c, long d, long e, long f)
{
    register long fourth __asm__("r10") = d, fifth __asm__("r8") = e, sixth __asm__("r9") = f;
    long result = number;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

AT_START static long enter_kernel(long number, long a, long b, long c, long d, long e, long f)
{
    register long result __asm__("x0") = a, second __asm__("x1") = b, third __asm__("x2") = c, fourth __asm__("x3") = d,
                         fifth __asm__("x4") = e, sixth __asm__("x5") = f, call __asm__("x8") = number;
    __asm__ volatile("svc 0" : "+r"(result) : "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth), "r"(call) : "memory");
    return result;
}

#else
#include "next.h"
#define BY_LIBC

/* The first system call finds libc's syscall() and then leaves the way to it. Threads that meet here store the same value. */
static long call_first(long number, long a, long b, long c, long d, long e, long f)
{
    sys_entry = (sys_function *)next_symbol("syscall");
    return sys_entry(number, a, b, c, d, e, f);
}

sys_function *sys_entry = call_first;

#endif

#ifndef BY_LIBC

/* The kernel answers with an errno as a small negative number. */
#define ERRNO_MAX 4095

AT_START static long call_kernel(long number, long a, long b, long c, long d, long e, long f)
{
    long result = enter_kernel(number, a, b, c, d, e, f);
    if (unlikely((unsigned long)result >= (unsigned long)-ERRNO_MAX)) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

sys_function *sys_entry = call_kernel;

#endif

long sys_short(long number, long a, long b, long c)
{
    return sys_entry(number, a, b, c, 0, 0, 0);
}
