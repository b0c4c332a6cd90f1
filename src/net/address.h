/* net/address.h - socket addresses as people write them: "127.0.0.1:4711", "[::1]:4711", "unix:/run/x.sock". */
#ifndef TIDEWIRE_NET_ADDRESS_H
#define TIDEWIRE_NET_ADDRESS_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"

/* The text is the caller's; an IPv4 address that is mapped into IPv6 reads as IPv4. */
char *address_format(const struct sockaddr *address, socklen_t length);
/* Of the two ends of a socket; "unknown" when the kernel does not tell (any more). */
char *address_of_peer(int fd);
char *address_of_local(int fd);

/* False when the path is too long for a socket. */
bool address_of_path(const char *path, struct sockaddr_un *address, struct error *error);
/* "host:port" or "[v6]:port" in parts, which the caller frees. */
bool address_split(const char *text, char **host, char **port, struct error *error);
#endif
