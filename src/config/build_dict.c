/* config/build_dict.c - `shared_dict` sections. */
#include "base/memory.h"
#include "config/build_private.h"

static bool build_dict(const struct build *build, cfg_t *section, struct config_dict *dict) {
    dict->name = memory_copy_string(cfg_title(section));
    build_put_section(build, dict, SECTION_SHARED_DICT, section);
    return build_is_id(dict->name) ||
           SECTION_FAULT(build, section, "\"%s\" is not the name of a `shared_dict`: " BUILD_ID_RULE, dict->name);
}

bool build_dicts(const struct build *build) {
    struct config *config = build->config;
    size_t count = tree_section_count(build->tree, "shared_dict");
    config->dicts = memory_new((count + 1) * sizeof *config->dicts);
    for (size_t i = 0; i < count; i++) {
        struct config_dict *dict = &config->dicts[config->dict_count++];
        if (!build_dict(build, tree_section(build->tree, "shared_dict", i), dict)) return false;
    }
    return true;
}
