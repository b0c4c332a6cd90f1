/* net/watch.h - tells when a descriptor can be read or written that we may not make non-blocking, because
 * other processes share it: the standard streams. What the kernel cannot poll, files for example, is
 * always ready. */
#ifndef TIDEWIRE_NET_WATCH_H
#define TIDEWIRE_NET_WATCH_H

struct loop;
struct watch;
enum watch_kind { WATCH_READ, WATCH_WRITE };

/* The descriptor stays the caller's and must outlive the watch. `on_ready` is called from the loop, never
 * from inside a function of this header, and may call any of them. */
struct watch *watch_new(struct loop *loop, int fd, enum watch_kind kind, void (*on_ready)(void *context),
                        void *context);
void watch_free(struct watch **watch);
/* Tells once; for more, start it again. */
void watch_start(struct watch *watch);
void watch_stop(struct watch *watch);
#endif
