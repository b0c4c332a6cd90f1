/* config/build_private.h - what the files that build the struct share. Private to config/build*.c. */
#ifndef TIDEWIRE_CONFIG_BUILD_PRIVATE_H
#define TIDEWIRE_CONFIG_BUILD_PRIVATE_H
#include "config/config.h"
#include "config/keys.h"
#include "config/source.h"
#include "config/tree.h"

struct build {
    struct config *config;
    const struct source *source;
    struct error *error;
    cfg_t *tree;
};

/* Every member of the section, at its default where the file (`section` may be NULL) does not set it. */
void build_put_section(const struct build *build, void *object, enum section_id id, cfg_t *section);
/* Every file of a list is there and may be read. */
bool build_check_files(const struct build *build, cfg_t *section, const char *name);
struct place build_place_of_key(const struct build *build, cfg_t *section, const char *name);

#define KEY_FAULT(build, section, name, ...)                                                                 \
    place_error(build_place_of_key(build, section, name), (build)->error, __VA_ARGS__)
#define SECTION_FAULT(build, section, ...)                                                                   \
    place_error(tree_place((build)->source, section), (build)->error, __VA_ARGS__)

/* build.c: of a `listen` or an `admin`, whose address no other has. */
bool build_listen_address(const struct build *build, cfg_t *section, struct config_listener *listener);

/* build_admin.c: after build_listeners(). */
bool build_admins(const struct build *build);

/* build_upstream.c */
bool build_upstreams(const struct build *build);
/* Paths of unix sockets become absolute, hosts get their usual form. */
bool build_target(const struct build *build, const struct value *value, char **target);
/* NULL where the section is. */
bool build_upstream_tls(const struct build *build, cfg_t *section, enum section_id id, struct config_upstream_tls **tls);
/* Equal for sections that say the same; `upstream` NULL: it is of something else. */
char *build_fingerprint(cfg_t *section, enum section_id id, const struct config_upstream *upstream);

/* build_peer.c: after build_listeners() and build_upstreams(), whose names they share. */
bool build_peers(const struct build *build);

/* What may be the id of a peer, and the name of a dictionary; for messages: BUILD_ID_RULE. */
bool build_is_id(const char *text);
#define BUILD_ID_RULE "letters, digits, \".\", \"-\" and \"_\", at most 64"

/* build_bus.c */
bool build_bus(const struct build *build);

/* build_limit.c */
bool build_named_limits(const struct build *build);
/* Which of them the section's `limit` names; where it has none, *named stays what it is. */
bool build_limit_list(const struct build *build, cfg_t *section, const struct config_limit *const **named);

/* build_dict.c */
bool build_dicts(const struct build *build);

/* build_route.c */
bool build_routes(const struct build *build);
#endif
