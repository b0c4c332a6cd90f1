/* gateway/thrift.c - see thrift.h */
#include "gateway/thrift.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/loop.h"

#define LOOK_INTERVAL (3 * NS_PER_S)
#define WORTH_IT ((uint64_t)32 << 20) /* bytes */

struct thrift {
    struct loop *loop;
    struct timer look;
    uint64_t before; /* idle bytes at the last look */
    uint64_t least;  /* idle bytes that giving back does not change: code, stacks, fragments of pages */
};

static uint64_t resident_bytes(void) {
    unsigned long long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%*s %llu", &resident) != 1) resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Resident, but not in use. */
static uint64_t idle_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    uint64_t resident = resident_bytes(), used = info.uordblks + info.hblkhd;
    return resident > used ? resident - used : 0;
}

static void look(struct timer *timer) {
    struct thrift *thrift = container_of(timer, struct thrift, look);
    uint64_t idle = idle_bytes(), both = idle < thrift->before ? idle : thrift->before;
    if (idle < thrift->least) thrift->least = idle;
    if (both > thrift->least + WORTH_IT) {
        malloc_trim(0);
        thrift->least = idle_bytes();
        log_debug(NULL, "gave back %llu bytes of memory",
                  (unsigned long long)(idle > thrift->least ? idle - thrift->least : 0));
        idle = thrift->least;
    }
    thrift->before = idle;
    timer_start(thrift->loop, timer, loop_now(thrift->loop) + LOOK_INTERVAL);
}

struct thrift *thrift_new(struct loop *loop) {
    struct thrift *thrift = memory_new(sizeof *thrift);
    thrift->loop = loop;
    thrift->least = thrift->before = idle_bytes();
    timer_init(&thrift->look, look);
    timer_start(loop, &thrift->look, loop_now(loop) + LOOK_INTERVAL);
    return thrift;
}

void thrift_free(struct thrift **handle) {
    struct thrift *thrift = *handle;
    *handle = NULL;
    if (!thrift) return;
    timer_stop(thrift->loop, &thrift->look);
    free(thrift);
}
