/* call ADDRESS PORT SECONDS: 100 numbered datagrams a second to a place that sends them back, each twice: from one
 * socket that stays, which is one known flow, and from a socket of its own, which is a new one each time. Prints a
 * line for both: how many were sent and lost, and the longest run of lost ones.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RATE = 100, OPEN = 200, MOST = 100000 }; /* a new flow waits OPEN ticks for its answer */
static unsigned char back[2][MOST];
static struct pollfd polled[OPEN + 1]; /* the one that stays comes last */
static struct sockaddr_in6 there = {.sin6_family = AF_INET6};

static long long now(void) { /* ms */
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

static int opened(void) {
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* While there is no route, the kernel refuses: that one is lost. */
    if (fd >= 0 && connect(fd, (struct sockaddr *)&there, sizeof there) < 0) return close(fd), -1;
    return fd;
}

static void hear(long long until) {
    long long left;
    while ((left = until - now()) > 0) {
        if (poll(polled, OPEN + 1, left) <= 0) continue;
        for (int i = 0; i <= OPEN; i++) {
            unsigned number;
            if (polled[i].fd >= 0 && polled[i].revents && recv(polled[i].fd, &number, sizeof number, 0) == sizeof number)
                if (number < MOST) back[i == OPEN][number] = 1;
        }
    }
}

static void tell(const char *name, const unsigned char *came, unsigned sent) {
    unsigned lost = 0, run = 0, longest = 0;
    for (unsigned i = 0; i < sent; i++) {
        run = came[i] ? 0 : run + 1;
        lost += !came[i];
        if (run > longest) longest = run;
    }
    printf("%s %u %u %u\n", name, sent, lost, longest);
}

int main(int argc, char **argv) {
    char address[INET6_ADDRSTRLEN + 8] = "";
    unsigned sent, end = argc == 4 ? RATE * atoi(argv[3]) : 0;
    if (argc == 4) snprintf(address, sizeof address, "%s%s", strchr(argv[1], ':') ? "" : "::ffff:", argv[1]);
    if (end > MOST || inet_pton(AF_INET6, address, &there.sin6_addr) != 1)
        return fprintf(stderr, "usage: call ADDRESS PORT SECONDS\n"), 64;
    there.sin6_port = htons(atoi(argv[2]));
    for (int i = 0; i <= OPEN; i++) polled[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    if ((polled[OPEN].fd = opened()) < 0) return perror("call"), 1;
    long long began = now();
    for (sent = 0; sent < end; sent++) {
        struct pollfd *one = &polled[sent % OPEN];
        if (one->fd >= 0) close(one->fd);
        one->fd = opened();
        /* What can't be sent is lost, which shows. */
        (void)!write(polled[OPEN].fd, &sent, sizeof sent);
        if (one->fd >= 0) (void)!write(one->fd, &sent, sizeof sent);
        hear(began + (sent + 1) * 1000LL / RATE);
    }
    hear(now() + 1000);
    tell("new", back[0], sent);
    tell("known", back[1], sent);
}
