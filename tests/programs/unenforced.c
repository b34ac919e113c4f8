/*
 * `unenforced DIRECTORY COMMAND...`: a command on a kernel that doesn't enforce ETXTBSY in DIRECTORY, which must be a mount point.
 * Linux lets go of it for files whose content a listener may still want to fill in (fanotify's FAN_PRE_ACCESS, since 6.14). Exit
 * status 77: that can't be had here.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/fanotify.h>
#include <sys/wait.h>
#include <unistd.h>

#define PRE_ACCESS 0x00100000 /* FAN_PRE_ACCESS, which older headers don't have */
#define CANT 77

static void allow_all(int listener)
{
    struct fanotify_event_metadata events[64], *event;
    for (ssize_t length; (length = read(listener, events, sizeof events)) > 0;)
        for (event = events; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length)) {
            struct fanotify_response answer = { event->fd, FAN_ALLOW };
            if (write(listener, &answer, sizeof answer) < 0)
                return;
            close(event->fd);
        }
}

int main(int argc, char **argv)
{
    int listener = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC), status = CANT << 8;
    if (argc < 3 || listener < 0 || fanotify_mark(listener, FAN_MARK_ADD | FAN_MARK_MOUNT, PRE_ACCESS, AT_FDCWD, argv[1]) < 0)
        return perror("unenforced"), CANT;
    pid_t guard = fork();
    if (guard == 0) {
        allow_all(listener);
        _exit(0);
    }
    close(listener);
    pid_t command = fork();
    if (command == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    waitpid(command, &status, 0);
    kill(guard, SIGKILL);
    waitpid(guard, NULL, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
