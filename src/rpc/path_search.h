/* rpc/path_search.h - which of many templates a path can fit: a search by halves for each of its segments, in place of a
 * look at each template. */
#ifndef TIDEWIRE_RPC_PATH_SEARCH_H
#define TIDEWIRE_RPC_PATH_SEARCH_H
#include <stddef.h>

#include "rpc/request.h"

struct path_route;
struct path_template;

/* The first place from `from` on whose template may fit, or `count`. The routes stand in path_template_compare()'s order.
 * No place is left out that fits; of one that is named, path_template_match() has the last word. */
size_t path_search(const struct path_route *routes, size_t count, struct text path, size_t from);
/* Where a template stands among them, or would: the first place whose template does not go before it. */
size_t path_search_place(const struct path_route *routes, size_t count, const struct path_template *path);
#endif
