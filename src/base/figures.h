/* base/figures.h - what many threads count by name: for each method, for each upstream.
 *
 * Each thread has a row of counters of its own for a name (base/counter.h), in cache lines of its own, and finds it once. A
 * name stays as long as the figures do, so that what goes with one config and comes back with another counts on, and no
 * sum ever falls. Hence a bound: when there are as many names as may be, all others are one.
 *
 * Any thread may call any function. The lock that they take is never needed for counting. */
#ifndef TIDEWIRE_BASE_FIGURES_H
#define TIDEWIRE_BASE_FIGURES_H
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"

enum { FIGURES_PARTS = 3, FIGURES_COUNTERS = 32 /* of a row, at most */ };

/* Of one part or more; the others are NULL. */
struct figures_name {
    const char *parts[FIGURES_PARTS];
};

struct figures;
/* `counters`: how many a row has; `others`: the name of all that come when there are `most`. */
struct figures *figures_new(uint32_t threads, size_t counters, size_t most, const struct figures_name *others);
void figures_free(struct figures **figures);
/* The row of `thread`: a struct of nothing but counters. The texts are copied. */
void *figures_open(struct figures *figures, uint32_t thread, const struct figures_name *name);
/* Every name in the order in which they came, and the sums of its counters over all threads. */
void figures_each(struct figures *figures,
                  void (*visit)(void *context, const struct figures_name *name, const uint64_t *sums), void *context);
#endif
