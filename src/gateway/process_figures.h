/* gateway/process_figures.h - what the system says of this process (proc(5)). */
#ifndef TIDEWIRE_GATEWAY_PROCESS_FIGURES_H
#define TIDEWIRE_GATEWAY_PROCESS_FIGURES_H
#include <stdint.h>

struct process_figures {
    uint64_t cpu;        /* ns, of all threads */
    uint64_t started_at; /* ns, by the wall clock; the same at each look */
    uint64_t resident, virtual; /* bytes */
    uint64_t descriptors, most_descriptors;
};
/* What cannot be read is 0. The main thread. */
void process_figures_read(struct process_figures *figures);
#endif
