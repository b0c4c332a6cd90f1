/* gateway/thrift.h - gives memory that was freed back to the system, some seconds after a burst.
 *
 * The allocator returns only what lies at the end of a heap: one small object that stays behind a hundred megabytes of
 * freed messages keeps all of them. Looks every few seconds, in the main thread, and acts only where much lies idle
 * for more than one look. */
#ifndef TIDEWIRE_GATEWAY_THRIFT_H
#define TIDEWIRE_GATEWAY_THRIFT_H

struct loop;
struct thrift;

struct thrift *thrift_new(struct loop *loop);
void thrift_free(struct thrift **thrift);
#endif
