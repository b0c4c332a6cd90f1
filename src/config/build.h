/* config/build.h - from the tree of sections to the struct. What one value may be, its key knows; here is what values
 * must be together. Private to config/. */
#ifndef TIDEWIRE_CONFIG_BUILD_H
#define TIDEWIRE_CONFIG_BUILD_H
#include "config/config.h"
#include "config/source.h"
#include "config/tree.h"

/* `config` is zeroed but for the names of the files. After false it is half built: config_free() it. */
bool build_config(struct config *config, const struct source *source, cfg_t *tree, struct error *error);
#endif
