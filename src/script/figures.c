/* script/figures.c - what scripts have done, by worker. See script.h. */
#include "base/figures.h"

#include <stdio.h>

#include "script/script.h"

struct figures *script_figures_new(uint32_t workers) {
    return figures_new(workers, sizeof(struct script_figures) / sizeof(atomic_uint_least64_t), workers,
                       &(struct figures_name){{"others"}});
}

struct script_figures *script_figures_of(struct figures *figures, uint32_t worker) {
    char number[12];
    snprintf(number, sizeof number, "%u", (unsigned)worker);
    return figures_open(figures, worker, &(struct figures_name){{number}});
}
