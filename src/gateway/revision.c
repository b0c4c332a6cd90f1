/* gateway/revision.c - see revision.h */
#include "gateway/revision.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "gateway/routes.h"

static bool read_pages(const struct config *config, struct pages **pages, struct error *error) {
    struct error why;
    if (!config->pages || (*pages = pages_read(config->pages, &why))) return true;
    return error_at(error, config->file, 0, "`files`: %s", why.text);
}

struct revision *revision_read(const char *file, uint32_t number, atomic_uint *alive, struct error *error) {
    struct config *config = config_read(file, error);
    if (!config) return NULL;
    struct schema *schema = schema_load(config->proto_path, config->proto, error);
    if (schema && !routes_check(config, schema, error)) schema_unref(&schema);
    struct pages *pages = NULL;
    if (!schema || !read_pages(config, &pages, error)) {
        schema_unref(&schema);
        config_free(&config);
        return NULL;
    }
    struct revision *revision = memory_new(sizeof *revision);
    revision->references = 1;
    revision->number = number;
    revision->config = config;
    revision->schema = schema;
    revision->pages = pages;
    revision->alive = alive;
    atomic_fetch_add(alive, 1);
    return revision;
}

bool revision_open_dicts(struct revision *revision, const struct revision *in_force, struct error *error) {
    revision->limits = limit_book_new(revision->config, in_force ? in_force->limits : NULL);
    revision->dicts = dict_set_new(revision->config, in_force ? in_force->dicts : NULL, error);
    return revision->dicts != NULL;
}

struct revision *revision_ref(struct revision *revision) {
    atomic_fetch_add(&revision->references, 1);
    return revision;
}

void revision_unref(struct revision **handle) {
    struct revision *revision = *handle;
    *handle = NULL;
    if (!revision || atomic_fetch_sub(&revision->references, 1) != 1) return;
    log_debug(NULL, "generation %u is gone", (unsigned)revision->number);
    dict_set_free(&revision->dicts);
    limit_book_free(&revision->limits);
    schema_unref(&revision->schema);
    pages_unref(&revision->pages);
    config_free(&revision->config);
    atomic_fetch_sub(revision->alive, 1);
    free(revision);
}
