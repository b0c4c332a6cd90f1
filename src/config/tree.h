/* config/tree.h - a source as libconfuse's tree of sections and values. Private to config/.
 *
 * libconfuse knows the grammar; it never sees the text that a person wrote. It gets one quoted token a line, so that
 * its line numbers are the numbers of our tokens (its own count of lines goes astray at comments), its lexer finds
 * nothing to stumble over or to skip in silence, and a value always knows its file and line. The lexer is one for the
 * process: main thread only.
 */
#ifndef TIDEWIRE_CONFIG_TREE_H
#define TIDEWIRE_CONFIG_TREE_H
#include <confuse.h>
#include <stdint.h>

#include "base/error.h"
#include "config/source.h"

struct value {
    struct place place;
    char *text;
    uint64_t number; /* see value_parse() */
};

/* Every value is parsed and in its range. NULL and an error when something is wrong. */
cfg_t *tree_parse(const struct source *source, struct error *error);
void tree_free(cfg_t *tree);

size_t tree_value_count(cfg_t *section, const char *name);
/* NULL when the section does not set the key. */
const struct value *tree_value(cfg_t *section, const char *name, size_t index);
size_t tree_section_count(cfg_t *section, const char *name);
cfg_t *tree_section(cfg_t *section, const char *name, size_t index);
/* Where the section's brace opens. */
struct place tree_place(const struct source *source, cfg_t *section);
#endif
