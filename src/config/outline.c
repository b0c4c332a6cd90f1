/* config/outline.c - see outline.h */
#include "config/outline.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "config/keys.h"

/* A name of a statement, as the maps know it: "message", or "service" NUL "pkg.Service". */
static char *join(const char *name, const char *title, size_t *length) {
    size_t name_length = strlen(name) + 1, title_length = title ? strlen(title) : 0;
    char *joined = memory_new(name_length + title_length + 1);
    memcpy(joined, name, name_length);
    if (title) memcpy(joined + name_length, title, title_length);
    *length = name_length + title_length;
    return joined;
}

struct walk {
    const struct source *source;
    struct error *error;
    size_t at;
};

static enum token_kind kind_at(const struct walk *walk, size_t at) {
    return at < walk->source->count ? walk->source->tokens[at].kind : (enum token_kind)0;
}

static bool check_known(const struct walk *walk, const struct token *token, enum section_id section,
                        bool is_section) {
    const char *name = token->text, *where = sections[section].name;
    if (is_section ? section_find(section, name) >= 0 : key_find(section, name) != NULL) return true;
    if (key_comes_later(section, name))
        return place_error(token->place, walk->error, "this version does not serve `%s` yet", name);
    if (!strcmp(name, "include")) return place_error(token->place, walk->error, "write include(\"file\")");
    if (!is_section && section_find(section, name) >= 0)
        return place_error(token->place, walk->error, "`%s` is a section: %s%s { … }", name, name,
                           sections[section_find(section, name)].title ? " \"…\"" : "");
    if (is_section && key_find(section, name))
        return place_error(token->place, walk->error, "`%s` is a key: %s = …", name, name);
    for (size_t i = 0; i < key_count; i++)
        if (keys[i].section == SECTION_LIMITS && section != SECTION_LIMITS && !strcmp(keys[i].name, name))
            return place_error(token->place, walk->error, "`%s` belongs in limits { … }%s", name,
                               key_find(SECTION_LIMIT, name) ? ", or in limit \"NAME\" { … }" : "");
    if (!is_section && section != SECTION_LIMIT && key_find(SECTION_LIMIT, name))
        return place_error(token->place, walk->error,
                           "`%s` belongs in limit \"NAME\" { … }; where that is to hold, write limit = \"NAME\"", name);
    if (section == SECTION_LIMIT && !strcmp(name, "burst"))
        return place_error(token->place, walk->error,
                           "`limit` has no key `burst`: there are messages_burst, bytes_burst and streams_burst");
    const char *nearest = key_nearest(section, name), *nothing = is_section ? "section" : "key";
    return place_error(token->place, walk->error, "%s%s%s has no %s `%s`%s%s%s", *where ? "`" : "the file",
                       where, *where ? "`" : "", nothing, name, nearest ? " (did you mean \"" : "",
                       nearest ? nearest : "", nearest ? "\"?)" : "");
}

static bool check_new(const struct walk *walk, struct map *seen, const struct token *token,
                      const char *title) {
    size_t length;
    char *name = join(token->text, title, &length);
    const struct token *first = map_get(seen, name, length);
    if (!first) map_put(seen, name, length, (void *)token);
    free(name);
    if (!first) return true;
    const char *is_elsewhere = first->place.file != token->place.file ? first->place.file : "";
    return place_error(token->place, walk->error, "`%s%s%s%s` is already in line %d%s%s", token->text,
                       title ? " \"" : "", title ? title : "", title ? "\"" : "", first->place.line,
                       *is_elsewhere ? " of " : "", is_elsewhere);
}

/* Over a word or a list; false when there is neither. */
static bool skip_value(struct walk *walk) {
    if (kind_at(walk, walk->at) == TOKEN_WORD) return walk->at++, true;
    if (kind_at(walk, walk->at) != TOKEN_OPEN) return false;
    while (kind_at(walk, ++walk->at) == TOKEN_WORD || kind_at(walk, walk->at) == TOKEN_COMMA) continue;
    return kind_at(walk, walk->at++) == TOKEN_CLOSE;
}

enum outcome { FINE, FAULT, LOST /* not a statement */ };

static enum outcome walk_statements(struct walk *walk, enum section_id section);

static enum outcome walk_section(struct walk *walk, struct map *seen, enum section_id section) {
    const struct token *name = &walk->source->tokens[walk->at];
    const char *title = kind_at(walk, walk->at + 1) == TOKEN_WORD ? name[1].text : NULL;
    if (!check_known(walk, name, section, true)) return FAULT;
    enum section_id inner = (enum section_id)section_find(section, name->text);
    if (!sections[inner].is_many && !check_new(walk, seen, name, title)) return FAULT;
    walk->at += title ? 3 : 2;
    enum outcome outcome = walk_statements(walk, inner);
    if (outcome != FINE) return outcome;
    return kind_at(walk, walk->at++) == TOKEN_CLOSE ? FINE : LOST;
}

static enum outcome walk_key(struct walk *walk, struct map *seen, enum section_id section) {
    const struct token *name = &walk->source->tokens[walk->at];
    if (!check_known(walk, name, section, false)) return FAULT;
    if (name[1].kind == TOKEN_EQUALS && !check_new(walk, seen, name, NULL)) return FAULT;
    walk->at += 2;
    if (kind_at(walk, walk->at) == TOKEN_WORD && kind_at(walk, walk->at + 1) == TOKEN_EQUALS)
        return place_error(name->place, walk->error, "`%s` has no value", name->text), FAULT;
    const struct key *key = key_find(section, name->text);
    if (kind_at(walk, walk->at) != TOKEN_OPEN || key->is_list) return skip_value(walk) ? FINE : LOST;
    return place_error(name->place, walk->error, "`%s` takes one value, not a list", name->text), FAULT;
}

/* Until the brace that closes the section, or the end. */
static enum outcome walk_statements(struct walk *walk, enum section_id section) {
    struct map seen = {0};
    enum outcome outcome = FINE;
    while (outcome == FINE && kind_at(walk, walk->at) == TOKEN_WORD) {
        enum token_kind next = kind_at(walk, walk->at + 1), third = kind_at(walk, walk->at + 2);
        if (next == TOKEN_EQUALS || next == TOKEN_APPEND)
            outcome = walk_key(walk, &seen, section);
        else if (next == TOKEN_OPEN || (next == TOKEN_WORD && third == TOKEN_OPEN))
            outcome = walk_section(walk, &seen, section);
        else
            outcome = check_known(walk, &walk->source->tokens[walk->at], section, next == TOKEN_WORD) ? LOST
                                                                                                      : FAULT;
    }
    map_free(&seen, NULL);
    return outcome;
}

bool outline_check(const struct source *source, size_t *lost, struct error *error) {
    struct walk walk = {.source = source, .error = error};
    enum outcome outcome = walk_statements(&walk, SECTION_FILE);
    *lost = walk.at;
    return outcome != FAULT;
}
