/* admin/exposition.h - the text format of Prometheus, version 0.0.4 (prometheus/docs: instrumenting/exposition_formats.md). */
#ifndef TIDEWIRE_ADMIN_EXPOSITION_H
#define TIDEWIRE_ADMIN_EXPOSITION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE };
extern const char *const metric_type_names[];

struct label {
    const char *name, *value; /* any text; what is no UTF-8 becomes "?" */
};

/* What comes before the samples of one name. */
void exposition_family(struct buffer *out, const char *name, enum metric_type type, const char *help);
/* `is_time`: the number is nanoseconds, and written as seconds. */
void exposition_sample(struct buffer *out, const char *name, const struct label *labels, size_t count, uint64_t number,
                       bool is_time);
#endif
