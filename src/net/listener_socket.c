/* net/listener_socket.c - see listener_socket.h */
#include "net/listener_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "net/address.h"
#include "net/listener.h"

/* How often port 0 is asked for anew when the port that one address got is taken on another. */
enum { PORT_TRIES = 16 };

static void close_all(const int *fds, int count) {
    for (int i = 0; i < count; i++) close(fds[i]);
}

static in_port_t *port_of(struct sockaddr *address) {
    return address->sa_family == AF_INET6 ? &((struct sockaddr_in6 *)(void *)address)->sin6_port
                                          : &((struct sockaddr_in *)(void *)address)->sin_port;
}

/* Accepted sockets inherit these on Linux, which saves the calls for each of them. */
static void set_tcp_options(int fd, int family) {
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
}

int listener_socket_backlog(const struct listener_options *options) {
    return options->backlog > 0 ? options->backlog : SOMAXCONN;
}

/* The socket, or -1 and errno. */
static int listen_at(const struct addrinfo *address, int backlog) {
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    set_tcp_options(fd, address->ai_family);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, backlog) == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static in_port_t port_got(int fd) {
    struct sockaddr_storage address = {.ss_family = AF_INET};
    socklen_t length = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &length);
    return *port_of((struct sockaddr *)&address);
}

/* Some resolvers give the same address twice. */
static bool is_repeated(const struct addrinfo *found, const struct addrinfo *address) {
    for (; found != address; found = found->ai_next) {
        if (found->ai_addrlen == address->ai_addrlen &&
            memcmp(found->ai_addr, address->ai_addr, found->ai_addrlen) == 0)
            return true;
    }
    return false;
}

/* A name that has addresses of both families is no error on a machine without IPv6. */
static bool may_be_missing(const struct addrinfo *found, const struct addrinfo *address, int error) {
    return found->ai_next && address->ai_family == AF_INET6 &&
           (error == EAFNOSUPPORT || error == EADDRNOTAVAIL);
}

/* One round over all addresses. The count of sockets; 0 with `*failed` set to the address that errno is
 * about. */
static int listen_at_all(const struct addrinfo *found, int backlog, int *fds,
                         const struct addrinfo **failed) {
    in_port_t port = *port_of(found->ai_addr);
    int count = 0;
    for (const struct addrinfo *address = found; address && count < LISTENER_MOST_SOCKETS;
         address = address->ai_next) {
        *port_of(address->ai_addr) = port;
        if (is_repeated(found, address)) continue;
        int fd = listen_at(address, backlog);
        *failed = address;
        if (fd < 0 && may_be_missing(found, address, errno)) continue;
        if (fd < 0) {
            int error = errno;
            close_all(fds, count);
            errno = error;
            return 0;
        }
        if (!port) port = *port_of(address->ai_addr) = port_got(fd);
        fds[count++] = fd;
    }
    return count;
}

static void reset_ports(struct addrinfo *found, in_port_t port) {
    for (struct addrinfo *address = found; address; address = address->ai_next)
        *port_of(address->ai_addr) = port;
}

static int listen_at_found(struct addrinfo *found, int backlog, int *fds, struct error *error) {
    in_port_t port = *port_of(found->ai_addr);
    const struct addrinfo *failed = found;
    int count = 0;
    for (int tries = port ? 1 : PORT_TRIES; tries; tries--) {
        reset_ports(found, port);
        count = listen_at_all(found, backlog, fds, &failed);
        if (count || errno != EADDRINUSE) break;
    }
    if (!count) {
        int reason = errno;
        char *text = address_format(failed->ai_addr, failed->ai_addrlen);
        error_set(error, "cannot listen on %s: %s", text, strerror(reason));
        free(text);
    }
    return count;
}

static bool is_port(const char *text) {
    size_t length = strlen(text);
    return length && length <= 5 && strspn(text, "0123456789") == length && atoi(text) <= 65535;
}

/* "[::1]" may keep its brackets. */
static char *bare_host(const char *host) {
    size_t length = strlen(host);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') return memory_copy(host + 1, length - 2);
    return memory_copy(host, length);
}

int listener_socket_tcp(const struct listener_options *options, int *fds, struct error *error) {
    if (!is_port(options->port)) {
        error_set(error, "\"%s\" is no port: a number from 0 to 65535", options->port);
        return 0;
    }
    bool is_any = !*options->host || strcmp(options->host, "*") == 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    char *host = bare_host(options->host);
    int result = getaddrinfo(is_any ? NULL : host, options->port, &hints, &found);
    free(host);
    if (result) {
        error_set(error, "%s: %s", options->host,
                  result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
        return 0;
    }
    int count = listen_at_found(found, listener_socket_backlog(options), fds, error);
    freeaddrinfo(found);
    return count;
}

/* Removes a socket at which nobody answers. */
static bool clear_path(const struct sockaddr_un *address, struct error *error) {
    const char *path = address->sun_path;
    struct stat status;
    if (lstat(path, &status) < 0) return true; /* bind() will say what is wrong, if anything is */
    if (!S_ISSOCK(status.st_mode)) return error_set(error, "%s: is there already, and is no socket", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return error_set(error, "%s: %s", path, strerror(errno));
    int reason = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? errno : 0;
    close(fd);
    if (reason == ENOENT) return true;
    if (reason != ECONNREFUSED) /* EAGAIN is a live one too, with a full backlog */
        return error_set(error, "%s: %s", path,
                         !reason || reason == EAGAIN ? "another process listens there" : strerror(reason));
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set(error, "%s: cannot remove the stale socket: %s", path, strerror(errno));
    return true;
}

int listener_socket_unix(const struct listener_options *options, int *fds, struct error *error) {
    struct sockaddr_un address;
    if (!address_of_path(options->path, &address, error) || !clear_path(&address, error)) return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error_set(error, "%s: %s", options->path, strerror(errno));
        return 0;
    }
    bool is_bound = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    /* Nobody can connect before listen(): the mode is set by then. */
    if (is_bound && chmod(options->path, (mode_t)options->mode) == 0 &&
        listen(fd, listener_socket_backlog(options)) == 0) {
        fds[0] = fd;
        return 1;
    }
    error_set(error, "%s: %s", options->path, strerror(errno));
    if (is_bound) unlink(options->path);
    close(fd);
    return 0;
}
