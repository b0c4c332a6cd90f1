/* config/build_admin.c - `admin` sections. */
#include "base/memory.h"
#include "config/build_private.h"

bool build_admins(const struct build *build) {
    struct config *config = build->config;
    size_t count = tree_section_count(build->tree, "admin");
    config->admins = memory_new((count + 1) * sizeof *config->admins);
    while (config->admin_count < count) {
        cfg_t *section = tree_section(build->tree, "admin", config->admin_count);
        struct config_listener *admin = &config->admins[config->admin_count++];
        admin->address = memory_copy_string(cfg_title(section));
        admin->line = tree_place(build->source, section).line;
        build_put_section(build, admin, SECTION_ADMIN, section);
        if (!build_listen_address(build, section, admin)) return false;
    }
    return true;
}
