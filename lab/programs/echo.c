/* echo NAME PORT... : answers every TCP connection and every UDP datagram on each port, over both families, with one line
 *
 *     NAME tcp 8080 from 203.0.113.9
 *
 * so that a probe learns who answered and which address it was seen with (before or after NAT). It goes to the background
 * once every socket is bound and prints the background process's id, so its caller needs no waiting loop.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PORTS = 64, MAX_CONNECTIONS = 512, LINGER_SECONDS = 3 };

/* The first 2 * ports entries listen (TCP, then UDP of each port), the rest are connections being closed. */
static struct pollfd polled[2 * MAX_PORTS + MAX_CONNECTIONS];
static time_t opened[2 * MAX_PORTS + MAX_CONNECTIONS];
static int ports[MAX_PORTS], port_count;
static const char *name;

static void fail(const char *what, int port) {
    fprintf(stderr, "echo: %s on port %d: %s\n", what, port, strerror(errno));
    exit(1);
}

static int listener(int type, int port) {
    int on = 1, off = 0, fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (fd < 0) fail("socket", port);
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    if (type == SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0) fail("bind", port);
    if (type == SOCK_STREAM && listen(fd, 128) < 0) fail("listen", port);
    return fd;
}

static int line(char *out, size_t size, const char *protocol, int port, const struct sockaddr_in6 *peer) {
    char address[INET6_ADDRSTRLEN] = "?";
    if (IN6_IS_ADDR_V4MAPPED(&peer->sin6_addr))
        inet_ntop(AF_INET, &peer->sin6_addr.s6_addr[12], address, sizeof address);
    else
        inet_ntop(AF_INET6, &peer->sin6_addr, address, sizeof address);
    return snprintf(out, size, "%s %s %d from %s\n", name, protocol, port, address);
}

static void answer_tcp(int fd, int port) {
    struct sockaddr_in6 peer;
    socklen_t length = sizeof peer;
    char text[256];
    int client = accept4(fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) return;
    if (write(client, text, line(text, sizeof text, "tcp", port, &peer)) < 0) {
        close(client);
        return;
    }
    /* Half-closed only: close() with unread input would send a reset, which can overtake the line. */
    shutdown(client, SHUT_WR);
    for (int i = 2 * port_count; i < 2 * port_count + MAX_CONNECTIONS; i++)
        if (polled[i].fd < 0) {
            polled[i] = (struct pollfd){.fd = client, .events = POLLIN};
            opened[i] = time(NULL);
            return;
        }
    close(client);
}

static void answer_udp(int fd, int port) {
    struct sockaddr_in6 peer;
    char input[2048], text[256];
    union {
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
        struct cmsghdr aligned;
    } control;
    struct iovec in = {input, sizeof input};
    struct msghdr message = {&peer, sizeof peer, &in, 1, &control, sizeof control, 0};
    if (recvmsg(fd, &message, 0) < 0) return;
    /* The control data goes back as it came: the reply leaves from the address the datagram was sent to, which on a host
     * with several addresses is not the one routing would choose. The NIC is kept for link-local addresses only. */
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) info.ipi6_ifindex = 0;
            memcpy(CMSG_DATA(c), &info, sizeof info);
        }
    struct iovec out = {text, line(text, sizeof text, "udp", port, &peer)};
    message.msg_iov = &out;
    message.msg_flags = 0;
    if (sendmsg(fd, &message, 0) < 0) return;
}

static void drain(int i) {
    char ignored[2048];
    ssize_t n = read(polled[i].fd, ignored, sizeof ignored);
    if (n > 0 || (n < 0 && errno == EAGAIN)) return;
    close(polled[i].fd);
    polled[i].fd = -1;
}

static void serve(void) {
    int count = 2 * port_count + MAX_CONNECTIONS;
    for (;;) {
        if (poll(polled, count, 1000) < 0 && errno != EINTR) exit(1);
        for (int i = 0; i < port_count; i++) {
            if (polled[2 * i].revents) answer_tcp(polled[2 * i].fd, ports[i]);
            if (polled[2 * i + 1].revents) answer_udp(polled[2 * i + 1].fd, ports[i]);
        }
        for (int i = 2 * port_count; i < count; i++) {
            if (polled[i].fd < 0) continue;
            if (polled[i].revents) drain(i);
            if (polled[i].fd >= 0 && time(NULL) - opened[i] > LINGER_SECONDS) {
                close(polled[i].fd);
                polled[i].fd = -1;
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 3 || argc - 2 > MAX_PORTS) {
        fprintf(stderr, "usage: echo NAME PORT... (at most %d ports)\n", MAX_PORTS);
        return 64;
    }
    name = argv[1];
    port_count = argc - 2;
    for (int i = 0; i < 2 * MAX_PORTS + MAX_CONNECTIONS; i++) polled[i].fd = -1;
    for (int i = 0; i < port_count; i++) {
        ports[i] = atoi(argv[i + 2]);
        polled[2 * i] = (struct pollfd){.fd = listener(SOCK_STREAM, ports[i]), .events = POLLIN};
        polled[2 * i + 1] = (struct pollfd){.fd = listener(SOCK_DGRAM, ports[i]), .events = POLLIN};
    }
    pid_t child = fork();
    if (child < 0) fail("fork", 0);
    if (child > 0) {
        printf("%d\n", (int)child);
        return 0;
    }
    setsid();
    /* A caller that reads our output to its end must not wait for the background process. */
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    serve();
}
