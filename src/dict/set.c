/* dict/set.c - see set.h */
#include "dict/set.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "dict/dict.h"

struct dict_set {
    size_t count;
    struct dict *dicts[];
};

size_t dict_set_count(const struct dict_set *set) { return set ? set->count : 0; }
struct dict *dict_set_at(const struct dict_set *set, size_t index) { return set->dicts[index]; }

static struct dict *find(const struct dict_set *set, const char *name) {
    for (size_t i = 0; i < dict_set_count(set); i++)
        if (!strcmp(dict_name(set->dicts[i]), name)) return set->dicts[i];
    return NULL;
}

struct dict_set *dict_set_new(const struct config *config, const struct dict_set *before, struct error *error) {
    struct dict_set *set = memory_new(sizeof *set + config->dict_count * sizeof *set->dicts);
    for (size_t i = 0; i < config->dict_count; i++) {
        const struct config_dict *wanted = &config->dicts[i];
        struct dict *same = find(before, wanted->name);
        bool is_kept = same && dict_size(same) == wanted->size;
        set->dicts[i] = is_kept ? dict_ref(same) : dict_new(wanted->name, wanted->size, error);
        if (!set->dicts[i]) {
            dict_set_free(&set);
            return NULL;
        }
        set->count++;
    }
    return set;
}

void dict_set_free(struct dict_set **handle) {
    struct dict_set *set = *handle;
    *handle = NULL;
    if (!set) return;
    for (size_t i = 0; i < set->count; i++) dict_unref(&set->dicts[i]);
    free(set);
}

void dict_set_tell_changes(const struct dict_set *set, const struct dict_set *before) {
    for (size_t i = 0; i < dict_set_count(set); i++) {
        const struct dict *dict = set->dicts[i], *old = find(before, dict_name(dict));
        if (!old || old == dict) continue;
        log_warn(NULL, "shared_dict \"%s\" begins empty: its size was %llu bytes and is %llu now", dict_name(dict),
                 (unsigned long long)dict_size(old), (unsigned long long)dict_size(dict));
    }
}
