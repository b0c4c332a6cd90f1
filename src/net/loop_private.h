/* net/loop_private.h - what the other files of this room need of a loop. */
#ifndef TIDEWIRE_NET_LOOP_PRIVATE_H
#define TIDEWIRE_NET_LOOP_PRIVATE_H
#include <stdint.h>

#include "base/buffer.h"

struct event_base;
struct loop;

enum { LOOP_READ_SIZE = 64 * 1024 };

/* Scratch that all connections of a thread share: nothing in it outlives the callback that filled it. */
struct loop_scratch {
    uint8_t *read;        /* LOOP_READ_SIZE bytes as they came from a socket */
    struct buffer plain;  /* what TLS made of them */
    struct buffer cipher; /* what TLS wants to send */
};

struct event_base *loop_event_base(struct loop *loop);
struct loop_scratch *loop_scratch(struct loop *loop);
#endif
