#include "datagram.h"

#include <linux/memfd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../sys/call.h"
#include "../sys/clock.h"

#define BUSY_RECEIVER_WAIT_NS (100 * CLOCK_MS)

static bool is_busy(int error)
{
    return error == EAGAIN || error == ENOBUFS || error == EINTR;
}

static bool send_message(int fd, const struct msghdr *message)
{
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    while (sys_call(SYS_sendmsg, fd, message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (!is_busy(errno) || clock_ns(CLOCK_MONOTONIC) - start >= BUSY_RECEIVER_WAIT_NS)
            return false;
        clock_rest(CLOCK_MS);
    }
    return true;
}

/* A file that nobody can change any more: the receiver may map it without fear. */
static int make_sealed(const void *bytes, size_t length)
{
    int fd = (int)sys_call(SYS_memfd_create, "etxtbsy-record", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    if (fd >= 0 && (sys_write(fd, bytes, length) != (ssize_t)length ||
                    sys_fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)) {
        sys_close_quietly(fd);
        fd = -1;
    }
    return fd;
}

static bool send_sealed(int fd, const struct msghdr *refused, const void *bytes, size_t length)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
    int sealed = make_sealed(bytes, length);
    if (sealed < 0)
        return false;
    memcpy(CMSG_DATA(&control.header), &sealed, sizeof sealed);
    struct msghdr message = *refused;
    message.msg_iov = NULL;
    message.msg_iovlen = 0;
    message.msg_control = &control;
    message.msg_controllen = sizeof control.bytes;
    bool sent = send_message(fd, &message);
    sys_close_quietly(sealed);
    return sent;
}

bool datagram_send(const char *path, const void *bytes, size_t length, bool by_memfd)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, path, strlen(path));
    struct iovec content = { (void *)bytes, length };
    struct msghdr message = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &content, .msg_iovlen = 1 };

    int fd = (int)sys_call(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool sent = send_message(fd, &message);
    if (!sent && by_memfd && (errno == EMSGSIZE || errno == ENOBUFS))
        sent = send_sealed(fd, &message, bytes, length);
    sys_close_quietly(fd);
    return sent;
}
