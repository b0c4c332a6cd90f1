/* net/network.c - see network.h */
#include "net/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct network {
    sa_family_t family;
    uint8_t address[16];
    unsigned bits;
};

struct network_list {
    size_t count;
    struct network networks[];
};

static bool read_bits(const char *text, unsigned most, unsigned *bits) {
    if (strlen(text) > 3 || !*text || strspn(text, "0123456789") != strlen(text)) return false;
    *bits = (unsigned)atoi(text);
    return *bits <= most;
}

static bool read_network(const char *text, struct network *network) {
    if (strcmp(text, "unix") == 0) {
        network->family = AF_UNIX;
        return true;
    }
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof address) return false;
    memcpy(address, text, length);
    address[length] = '\0';
    network->family = strchr(address, ':') ? AF_INET6 : AF_INET;
    unsigned most = network->family == AF_INET6 ? 128 : 32;
    network->bits = most;
    return inet_pton(network->family, address, network->address) == 1 &&
           (!slash || read_bits(slash + 1, most, &network->bits));
}

struct network_list *network_list_new(char *const *texts, struct error *error) {
    size_t count = 0;
    while (texts && texts[count]) count++;
    struct network_list *list = memory_new(sizeof *list + count * sizeof *list->networks);
    for (; list->count < count; list->count++) {
        if (read_network(texts[list->count], &list->networks[list->count])) continue;
        error_set(error,
                  "\"%s\" is no network: write \"10.0.0.0/8\", \"2001:db8::/32\", an address or \"unix\"",
                  texts[list->count]);
        network_list_free(&list);
        return NULL;
    }
    return list;
}

void network_list_free(struct network_list **list) {
    free(*list);
    *list = NULL;
}

bool network_list_is_empty(const struct network_list *list) { return list->count == 0; }

static bool is_within(const struct network *network, const uint8_t *address) {
    size_t bytes = network->bits / 8;
    unsigned rest = network->bits % 8;
    if (memcmp(network->address, address, bytes) != 0) return false;
    return !rest || (network->address[bytes] ^ address[bytes]) >> (8 - rest) == 0;
}

bool network_list_has(const struct network_list *list, const struct sockaddr *address) {
    sa_family_t family = address->sa_family;
    const uint8_t *bytes = NULL;
    if (family == AF_INET) {
        bytes = (const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else if (family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        bytes = v6->s6_addr;
        if (IN6_IS_ADDR_V4MAPPED(v6)) family = AF_INET, bytes += 12;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct network *network = &list->networks[i];
        if (network->family == family && (family == AF_UNIX || (bytes && is_within(network, bytes))))
            return true;
    }
    return false;
}
