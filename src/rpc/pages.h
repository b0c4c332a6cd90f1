/* rpc/pages.h - a handful of files that are shown to whoever looks with a browser: for a page or two, no more. They are
 * read once, and a path is one of their names or nothing, so that there is no way out of their folder. */
#ifndef TIDEWIRE_RPC_PAGES_H
#define TIDEWIRE_RPC_PAGES_H
#include <stdint.h>

#include "base/error.h"
#include "rpc/request.h"

/* All of them are in memory, and a client of HTTP/1 has a copy while it reads: no large ones. */
enum { PAGES_MOST = 64, PAGE_BYTES_MOST = 64 * 1024 };

struct pages; /* counted, over threads: an answer on its way keeps them though a reload has brought others */

struct page {
    const char *type;
    const uint8_t *bytes;
    size_t length;
    struct pages *pages; /* that it belongs to */
};

/* The regular files of the folder, without those below it and those whose names begin with a dot. NULL and a sentence
 * when there are too many, or one is too large or cannot be read. */
struct pages *pages_read(const char *folder, struct error *error);
struct pages *pages_ref(struct pages *pages);
void pages_unref(struct pages **pages);
/* "/name", and "/" for index.html. NULL: there is none. `pages` may be NULL. */
const struct page *pages_find(const struct pages *pages, struct text path);
#endif
