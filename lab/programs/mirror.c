/* mirror PORT: sends every byte of each TCP connection, and every UDP datagram, back to where it came from, over both
 * families, for as long as it lives. It goes to the background once its sockets are bound.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX = 64 };
static struct pollfd polled[MAX]; /* TCP listener, UDP socket, connections */

static int listener(int type, int port) {
    int on = 1, off = 0, fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0 || (type == SOCK_STREAM && listen(fd, 16) < 0)) {
        fprintf(stderr, "mirror: port %d: %s\n", port, strerror(errno));
        exit(1);
    }
    return fd;
}

static void come(void) {
    int client = accept4(polled[0].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    for (int i = 2; client >= 0 && i < MAX; i++)
        if (polled[i].fd < 0) {
            polled[i] = (struct pollfd){.fd = client, .events = POLLIN};
            return;
        }
    if (client >= 0) close(client);
}

static void datagram(int fd) {
    char data[2048];
    struct sockaddr_in6 peer;
    socklen_t length = sizeof peer;
    ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&peer, &length);
    if (n >= 0 && sendto(fd, data, n, 0, (struct sockaddr *)&peer, length) < 0) return; /* lost, as others may be */
}

static void stream(struct pollfd *one) {
    char data[2048];
    ssize_t n = read(one->fd, data, sizeof data);
    if (n < 0 && errno == EAGAIN) return;
    for (ssize_t done = 0, sent; n > 0 && done < n; done += sent)
        if ((sent = write(one->fd, data + done, n - done)) < 0) {
            if (errno == EAGAIN) sent = 0;
            else n = -1;
        }
    if (n > 0) return;
    close(one->fd);
    one->fd = -1;
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: mirror PORT\n"), 64;
    for (int i = 0; i < MAX; i++) polled[i].fd = -1;
    polled[0] = (struct pollfd){.fd = listener(SOCK_STREAM, atoi(argv[1])), .events = POLLIN};
    polled[1] = (struct pollfd){.fd = listener(SOCK_DGRAM, atoi(argv[1])), .events = POLLIN};
    if (daemon(0, 0) < 0) return 1;
    for (;;) {
        if (poll(polled, MAX, -1) < 0 && errno != EINTR) return 1;
        if (polled[0].revents) come();
        if (polled[1].revents) datagram(polled[1].fd);
        for (int i = 2; i < MAX; i++)
            if (polled[i].fd >= 0 && polled[i].revents) stream(&polled[i]);
    }
}
