/* net/proxy.h - the PROXY protocol, versions 1 and 2: what a load balancer says about the client, ahead of
 * its bytes (haproxy/haproxy: doc/proxy-protocol.txt). */
#ifndef TIDEWIRE_NET_PROXY_H
#define TIDEWIRE_NET_PROXY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Longer headers are bad: the fixed part of version 2, its largest addresses, and 4 KiB of extras, which are
 * skipped. */
enum { PROXY_MOST = 16 + 216 + 4096 };

struct proxy_header {
    size_t length;      /* bytes of the stream that it takes */
    bool has_addresses; /* false: LOCAL, UNKNOWN, UNSPEC: the socket's own addresses stand */
    struct sockaddr_storage source, destination;
    socklen_t source_length, destination_length;
};

enum proxy_result { PROXY_COMPLETE, PROXY_INCOMPLETE, PROXY_BAD };

/* `bytes` is the beginning of the stream. Fills the header only when complete. */
enum proxy_result proxy_read(const uint8_t *bytes, size_t length, struct proxy_header *header);
#endif
