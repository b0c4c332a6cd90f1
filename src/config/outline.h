/* config/outline.h - the names in a source: every one known, none twice. Private to config/.
 *
 * libconfuse does not say when a key or a title comes a second time: the first one is silently gone. So the
 * names are looked at before it, one statement after the other; what is no statement is left for libconfuse
 * to report. */
#ifndef TIDEWIRE_CONFIG_OUTLINE_H
#define TIDEWIRE_CONFIG_OUTLINE_H
#include "base/error.h"
#include "config/source.h"

/* `lost` is the token that was no statement, or the number of tokens. */
bool outline_check(const struct source *source, size_t *lost, struct error *error);
#endif
