/* pace : how fast TCP goes from one network to another. It reads a turn a line and answers each with the seconds it took:
 *
 *     connections CLIENT GUEST ADDRESS PORT GUEST_PORT COUNT     so many connections, one after the other
 *     bytes       CLIENT GUEST ADDRESS PORT GUEST_PORT COUNT     so many bytes through one connection
 *
 * CLIENT and GUEST are processes in the two networks; it asks ADDRESS and PORT from the client's and must be the one that
 * answers on GUEST_PORT in the guest's. One thread is both ends: with veth pairs the kernel carries a packet all the way
 * on the processor of who sent it, so the time is all of the work and nothing of waiting, waking or a second processor.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 65536, PATIENCE_MS = 3000 };

static struct sockaddr_storage target;
static socklen_t target_length;
static int port, guest_port;
static long count;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void fail(const char *what) {
    fprintf(stderr, "pace: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void enter(long pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/ns/net", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) fail(path);
    close(fd);
}

static void parse(const char *address) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)&target;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&target;
    memset(&target, 0, sizeof target);
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        target_length = sizeof *v4;
    } else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        target_length = sizeof *v6;
    } else {
        errno = EINVAL;
        fail(address);
    }
}

static int listener(void) {
    int on = 1, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(guest_port)};
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    if (fd < 0) fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience); /* also of accept */
    if (bind(fd, (struct sockaddr *)&any, sizeof any) < 0 || listen(fd, 16) < 0) fail("listen");
    return fd;
}

/* Both ends of a new connection. Closed with a reset: else each leaves a port of the client waiting for a minute. */
static void open_both(int listening, int ends[2]) {
    struct linger reset = {1, 0};
    struct timeval patience = {PATIENCE_MS / 1000, 0};
    ends[0] = socket(target.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (ends[0] < 0) fail("socket");
    setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* also of connect */
    if (connect(ends[0], (struct sockaddr *)&target, target_length) < 0) fail("connect");
    ends[1] = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    if (ends[1] < 0) fail("accept");
}

static void close_both(int ends[2]) {
    close(ends[0]);
    close(ends[1]);
}

static double connections(int listening) {
    int ends[2];
    double began = now();
    for (long i = 0; i < count; i++) {
        open_both(listening, ends);
        close_both(ends);
    }
    return now() - began;
}

static double bytes(int listening) {
    static char buffer[CHUNK];
    int ends[2];
    long sent = 0, got = 0;
    open_both(listening, ends);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    double began = now(), last = began;
    while (got < count) {
        long left = count - sent;
        ssize_t n = left > 0 ? write(ends[0], buffer, left < CHUNK ? left : CHUNK) : 0;
        if (n < 0 && errno != EAGAIN) fail("write");
        if (n > 0) sent += n;
        while ((n = read(ends[1], buffer, CHUNK)) > 0) {
            got += n;
            last = now();
        }
        if (n == 0 || errno != EAGAIN) fail("read");
        if (now() - last > PATIENCE_MS / 1000.0) {
            errno = ETIMEDOUT;
            fail("bytes");
        }
    }
    double took = now() - began;
    close_both(ends);
    return took;
}

/* Stays where it is, before everybody else: what else the machine does shall not be in the times. */
static void stand_still(void) {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    if (sched_setaffinity(0, sizeof here, &here) < 0) fail("sched_setaffinity");
    if (setpriority(PRIO_PROCESS, 0, -20) < 0) fail("setpriority");
}

int main(void) {
    char line[256], kind[16], address[64];
    long client, guest;
    stand_still();
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%15s %ld %ld %63s %d %d %ld", kind, &client, &guest, address, &port, &guest_port, &count) != 7) {
            fprintf(stderr, "pace: not understood: %s", line);
            return 64;
        }
        parse(address);
        enter(guest);
        int listening = listener();
        enter(client);
        printf("%.9f\n", strcmp(kind, "bytes") ? connections(listening) : bytes(listening));
        fflush(stdout);
        close(listening);
    }
}
