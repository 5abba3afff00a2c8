/* probe tcp|udp ADDRESS PORT MILLISECONDS [SOURCE] : one question, one line on stdout, exit 0:
 *
 *     answered SECONDS LINE        LINE is what came back, empty when the connection opened but nothing was said
 *     refused SECONDS ERRNO        somebody, or the own kernel, said no: ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EACCES ...
 *     timeout SECONDS              silence
 *
 * Exit 64 with a message: the question itself could not be asked (bad address, SOURCE is not an address of this host).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct timespec began;

static double elapsed(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - began.tv_sec) + (now.tv_nsec - began.tv_nsec) / 1e9;
}

static int usage(const char *what) {
    fprintf(stderr, "probe: %s (%s)\nusage: probe tcp|udp ADDRESS PORT MILLISECONDS [SOURCE]\n", what, strerror(errno));
    return 64;
}

static int say(const char *kind, const char *text) {
    printf("%s %.6f%s%s\n", kind, elapsed(), *text ? " " : "", text);
    return 0;
}

static int refused(int error) {
    return say("refused", strerrorname_np(error) ? strerrorname_np(error) : "?");
}

static int parse(const char *text, int port, struct sockaddr_storage *out, socklen_t *length) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *length = sizeof *v4;
        return 1;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    *length = sizeof *v6;
    return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

/* Milliseconds left, never negative. */
static int left(int total) {
    int ms = total - (int)(elapsed() * 1000);
    return ms > 0 ? ms : 0;
}

static int error_of(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
}

static int probe_tcp(int fd, int total) {
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    char text[1024] = "";
    size_t got = 0;
    if (poll(&p, 1, left(total)) == 0) return say("timeout", "");
    int error = error_of(fd);
    if (error) return error == ETIMEDOUT ? say("timeout", "") : refused(error);
    p.events = POLLIN;
    while (got < sizeof text - 1 && poll(&p, 1, left(total)) > 0) {
        ssize_t n = read(fd, text + got, sizeof text - 1 - got);
        if (n < 0) return refused(errno);
        if (n == 0) break;
        got += n;
        if (memchr(text, '\n', got)) break;
    }
    text[strcspn(text, "\n")] = 0;
    return say("answered", text);
}

static int probe_udp(int fd, int total) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char text[1024];
    do {
        /* Sent again each second: the first datagram may be lost while a neighbour is looked up. */
        if (send(fd, "probe\n", 6, 0) < 0) return refused(errno);
        int ms = left(total);
        if (poll(&p, 1, ms > 1000 ? 1000 : ms) == 0) continue;
        ssize_t n = recv(fd, text, sizeof text - 1, 0);
        if (n < 0) return refused(errno);
        text[n] = 0;
        text[strcspn(text, "\n")] = 0;
        return say("answered", text);
    } while (left(total) > 0);
    return say("timeout", "");
}

int main(int argc, char **argv) {
    struct sockaddr_storage target, source;
    socklen_t target_length, source_length;
    clock_gettime(CLOCK_MONOTONIC, &began);
    if (argc < 5 || argc > 6) return usage("wrong number of arguments");
    int udp = !strcmp(argv[1], "udp"), total = atoi(argv[4]);
    if (!udp && strcmp(argv[1], "tcp")) return usage("neither tcp nor udp");
    if (!parse(argv[2], atoi(argv[3]), &target, &target_length)) return usage("bad address");
    int fd = socket(target.ss_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
    if (fd < 0) return usage("no socket");
    if (argc == 6) {
        if (!parse(argv[5], 0, &source, &source_length) || source.ss_family != target.ss_family) return usage("bad source");
        if (bind(fd, (struct sockaddr *)&source, source_length) < 0) return usage("cannot use that source");
    }
    if (connect(fd, (struct sockaddr *)&target, target_length) < 0 && errno != EINPROGRESS) return refused(errno);
    return udp ? probe_udp(fd, total) : probe_tcp(fd, total);
}
