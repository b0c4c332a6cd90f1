/* net/network.h - a list of networks: "10.0.0.0/8", "2001:db8::/32", a single address, "unix". */
#ifndef TIDEWIRE_NET_NETWORK_H
#define TIDEWIRE_NET_NETWORK_H
#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

struct network_list;

/* `texts` is ended by NULL and may be NULL: then nothing is in the list. NULL and an error that names the bad
 * one. */
struct network_list *network_list_new(char *const *texts, struct error *error);
void network_list_free(struct network_list **list);
bool network_list_is_empty(const struct network_list *list);
/* An IPv4 address that is mapped into IPv6 counts as IPv4; every unix socket is in "unix". */
bool network_list_has(const struct network_list *list, const struct sockaddr *address);
#endif
