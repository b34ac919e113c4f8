/*
 * `hold FILE`: has a file open for writing until a tenth of a second after somebody else has opened it, as a failing exec does:
 * whoever starts it then is sure to find it busy. FILE.held is there when it has begun.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char held[4096];
    int file = argc > 1 ? open(argv[1], O_RDWR) : -1, watch = inotify_init();
    struct pollfd others = { .fd = watch, .events = POLLIN };
    if (file < 0 || inotify_add_watch(watch, argv[1], IN_OPEN) < 0)
        return 1;
    snprintf(held, sizeof held, "%s.held", argv[1]);
    close(open(held, O_WRONLY | O_CREAT, 0600));
    poll(&others, 1, 20000);
    usleep(100000);
    return 0;
}
