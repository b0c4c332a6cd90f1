/* net/address.c - see address.h */
#include "net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static char *format_v4(const struct in_addr *address, in_port_t port) {
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, address, text, sizeof text);
    return memory_format("%s:%u", text, ntohs(port));
}

static char *format_v6(const struct sockaddr_in6 *address) {
    if (IN6_IS_ADDR_V4MAPPED(&address->sin6_addr)) {
        struct in_addr mapped;
        memcpy(&mapped, address->sin6_addr.s6_addr + 12, sizeof mapped);
        return format_v4(&mapped, address->sin6_port);
    }
    char text[INET6_ADDRSTRLEN], interface[IF_NAMESIZE];
    inet_ntop(AF_INET6, &address->sin6_addr, text, sizeof text);
    if (address->sin6_scope_id && if_indextoname(address->sin6_scope_id, interface))
        return memory_format("[%s%%%s]:%u", text, interface, ntohs(address->sin6_port));
    return memory_format("[%s]:%u", text, ntohs(address->sin6_port));
}

/* Clients seldom have a path, and what one has is the client's word: it goes to logs, so only plain
 * characters. */
static char *format_path(const struct sockaddr_un *address, size_t length) {
    size_t most =
        length > offsetof(struct sockaddr_un, sun_path) ? length - offsetof(struct sockaddr_un, sun_path) : 0;
    char *text = memory_format("unix:%.*s", (int)most, address->sun_path);
    for (char *c = text; *c; c++) {
        if (*c < ' ' || *c > '~') *c = '?';
    }
    return text;
}

char *address_format(const struct sockaddr *address, socklen_t length) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    switch (address->sa_family) {
    case AF_INET: memcpy(&v4, address, sizeof v4); return format_v4(&v4.sin_addr, v4.sin_port);
    case AF_INET6: memcpy(&v6, address, sizeof v6); return format_v6(&v6);
    case AF_UNIX: return format_path((const struct sockaddr_un *)(const void *)address, length);
    default: return memory_copy_string("unknown");
    }
}

typedef int name_fn(int fd, struct sockaddr *restrict address, socklen_t *restrict length);

static char *address_of(int fd, name_fn *name) {
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof address;
    if (name(fd, (struct sockaddr *)&address, &length) < 0) address.ss_family = AF_UNSPEC;
    return address_format((struct sockaddr *)&address, length);
}

char *address_of_peer(int fd) { return address_of(fd, getpeername); }
char *address_of_local(int fd) { return address_of(fd, getsockname); }

bool address_of_path(const char *path, struct sockaddr_un *address, struct error *error) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (!*path) return error_set(error, "a unix socket needs a path: \"unix:/run/name.sock\"");
    if (strlen(path) >= sizeof address->sun_path)
        return error_set(error, "%s: the path of a unix socket has at most %zu bytes", path,
                         sizeof address->sun_path - 1);
    memcpy(address->sun_path, path, strlen(path) + 1);
    return true;
}

bool address_split(const char *text, char **host, char **port, struct error *error) {
    const char *colon = strrchr(text, ':');
    const char *start = text, *end = colon;
    if (colon && *text == '[' && colon > text + 1 && colon[-1] == ']') start++, end--;
    else if (colon && memchr(text, ':', (size_t)(colon - text))) colon = NULL; /* IPv6 needs its brackets */
    if (!colon || end == start || !colon[1])
        return error_set(error, "\"%s\" is no address: write \"host:port\", \"[v6]:port\" or \"unix:/path\"",
                         text);
    *host = memory_copy(start, (size_t)(end - start));
    *port = memory_copy_string(colon + 1);
    return true;
}
