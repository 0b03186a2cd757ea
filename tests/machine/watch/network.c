/* Preloaded into a watched program: notes and refuses every look-up of a host, and every socket
 * that reaches beyond this machine. Python's calls come through here, and those of C++ do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void note(const char *did, const char *what) {
    char line[512];
    int length = snprintf(line, sizeof line, "%s %s\n", did, what ? what : "");
    int log = open(getenv("WATCH_LOG"), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (log < 0 || write(log, line, length) != length) abort();
    close(log);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    note("looks up", host);
    return EAI_FAIL;
}

struct hostent *gethostbyname(const char *host) {
    note("looks up", host);
    h_errno = NO_RECOVERY;
    return NULL;
}

int socket(int domain, int type, int protocol) {
    static int (*real)(int, int, int);
    if (domain == AF_INET || domain == AF_INET6) {
        note("opens", "an internet socket");
        errno = EAFNOSUPPORT;
        return -1;
    }
    if (!real) real = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
    return real(domain, type, protocol);
}
