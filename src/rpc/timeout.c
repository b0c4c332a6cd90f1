/* rpc/timeout.c - see timeout.h */
#include "rpc/timeout.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

static const struct {
    char letter;
    uint64_t ns;
} units[] = {
    {'n', 1}, {'u', 1000}, {'m', NS_PER_MS}, {'S', NS_PER_S}, {'M', 60 * NS_PER_S}, {'H', 3600 * NS_PER_S},
};
enum { UNITS = sizeof units / sizeof *units, MOST_VALUE = 99999999 };

bool timeout_parse(const char *text, size_t length, uint64_t *ns) {
    if (length < 2 || length > 9) return false;
    uint64_t value = 0;
    for (size_t i = 0; i < length - 1; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    for (int i = 0; i < UNITS; i++) {
        if (units[i].letter != text[length - 1]) continue;
        *ns = value > TIMEOUT_MOST / units[i].ns ? TIMEOUT_MOST : value * units[i].ns;
        return true;
    }
    return false;
}

size_t timeout_format(char out[TIMEOUT_TEXT], uint64_t ns) {
    int i = 0;
    uint64_t value = ns;
    while (value > MOST_VALUE && i < UNITS - 1) {
        i++;
        value = ns / units[i].ns + (ns % units[i].ns != 0);
    }
    if (value > MOST_VALUE) value = MOST_VALUE;
    return (size_t)snprintf(out, TIMEOUT_TEXT, "%" PRIu32 "%c", (uint32_t)value, units[i].letter);
}
