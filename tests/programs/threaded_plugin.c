/* A library that is loaded at run time, and whose constructor waits for a thread that makes its first calls. */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static void *work(void *unused)
{
    int fd = open("/dev/null", O_WRONLY);
    if (fd >= 0)
        close(fd);
    return unused;
}

__attribute__((constructor)) static void wait_for_a_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) == 0)
        pthread_join(thread, NULL);
}
