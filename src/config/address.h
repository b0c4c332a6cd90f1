/* config/address.h - addresses and networks as a person writes them. Private to config/. */
#ifndef TIDEWIRE_CONFIG_ADDRESS_H
#define TIDEWIRE_CONFIG_ADDRESS_H
#include <stdbool.h>

#include "base/error.h"

/* "HOST:PORT", "[V6]:PORT", "*:PORT": host and port, numbers in their usual form. "unix:PATH": only path, as written.
 * The caller frees all three. */
struct address {
    char *host, *port, *path;
};
bool address_parse(const char *text, struct address *address, struct error *error);

/* "10.0.0.0/8", "fc00::/7", "unix"; one address stands for itself and gets its /32 or /128. NULL and an error. */
char *network_parse(const char *text, struct error *error);
#endif
