/* dict/set.h - the dictionaries that one config names. Those that the config before it names, too, with the same size, are
 * the same ones: contents survive a reload. All functions may be called by any thread. */
#ifndef TIDEWIRE_DICT_SET_H
#define TIDEWIRE_DICT_SET_H
#include <stddef.h>

#include "base/error.h"
#include "config/config.h"

struct dict;
struct dict_set;

/* `before` may be NULL. NULL and an error text when the system has no memory for a new one. */
struct dict_set *dict_set_new(const struct config *config, const struct dict_set *before, struct error *error);
void dict_set_free(struct dict_set **set);
size_t dict_set_count(const struct dict_set *set);                     /* of NULL: 0 */
struct dict *dict_set_at(const struct dict_set *set, size_t index);
/* A line for each dictionary that begins anew since its size is another one. */
void dict_set_tell_changes(const struct dict_set *set, const struct dict_set *before);
#endif
