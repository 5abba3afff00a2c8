/* reaper : process 1 of a lab's process tree. It does the two things a lab misses without an init and udev:
 *
 * - it reaps what was orphaned, so that a killed daemon does not stay a zombie which looks alive to `kill -0`;
 * - it makes /dev/tapN for macvtap devices, from the kernel's announcements in its own network namespace. The kernel makes
 *   these in the machine's devtmpfs only, by interface number, and two labs have equal numbers.
 *
 * It prints "ready" once it listens. It ends only by SIGKILL, and takes the whole tree with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void device_node(char *message, ssize_t length) {
    const char *device = NULL;
    int add = 0, major_number = -1, minor_number = -1;
    char path[64];
    message[length] = 0;
    for (char *field = message; field < message + length; field += strlen(field) + 1) {
        if (!strcmp(field, "ACTION=add")) add = 1;
        if (!strncmp(field, "DEVNAME=", 8)) device = field + 8;
        if (!strncmp(field, "MAJOR=", 6)) major_number = atoi(field + 6);
        if (!strncmp(field, "MINOR=", 6)) minor_number = atoi(field + 6);
    }
    if (!device || strncmp(device, "tap", 3) || strchr(device, '/') || major_number < 0) return;
    snprintf(path, sizeof path, "/dev/%s", device);
    unlink(path);
    if (add && mknod(path, S_IFCHR | 0600, makedev(major_number, minor_number)) < 0) perror(path);
}

int main(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    struct sockaddr_nl group = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int events = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (events < 0 || signals < 0 || bind(events, (struct sockaddr *)&group, sizeof group) < 0) {
        perror("reaper");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    struct pollfd polled[] = {{.fd = signals, .events = POLLIN}, {.fd = events, .events = POLLIN}};
    for (;;) {
        char buffer[8192];
        poll(polled, 2, -1);
        while (read(signals, buffer, sizeof buffer) > 0) continue;
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
        ssize_t n = recv(events, buffer, sizeof buffer - 1, 0);
        if (n > 0) device_node(buffer, n);
    }
}
