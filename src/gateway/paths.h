/* gateway/paths.h - where the product's own files are. */
#ifndef TIDEWIRE_GATEWAY_PATHS_H
#define TIDEWIRE_GATEWAY_PATHS_H

/* The folder that holds tidewire/…, the Lua half of the API: beside an installed binary, else the source tree that
 * the binary was built from. */
const char *gateway_lua_path(void);
#endif
