/* http/memory.h - what nghttp2's sessions of one thread allocate from.
 *
 * A call makes and drops a dozen small objects in nghttp2, and bursts of calls make more of one size than malloc() keeps
 * at hand. Here what was freed is kept by size, up to a bound. */
#ifndef TIDEWIRE_HTTP_MEMORY_H
#define TIDEWIRE_HTTP_MEMORY_H
#include <nghttp2/nghttp2.h>

struct http_memory;

/* Sessions may outlive their worker by a moment: each has a reference, and so has the worker. */
struct http_memory *http_memory_new(void);
struct http_memory *http_memory_ref(struct http_memory *memory);
void http_memory_unref(struct http_memory **memory);

/* Ends the process when memory is out, so that no caller has to handle it. */
nghttp2_mem http_memory_functions(struct http_memory *memory);
void *http_memory_take(struct http_memory *memory, size_t size);
void http_memory_give(struct http_memory *memory, void *piece);
#endif
