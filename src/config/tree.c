/* config/tree.c - see tree.h */
#include "config/tree.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/value.h"

/* libconfuse's callbacks get no pointer of ours. */
static struct {
    const struct source *source;
    struct error *error;
    bool has_failed; /* the first fault is the one that is told */
} parse;

static struct place place_of(const struct source *source, int line) {
    if (!source->count) return (struct place){source->files[0], 0};
    size_t index = line > 0 ? (size_t)line - 1 : 0;
    return source->tokens[index < source->count ? index : source->count - 1].place;
}

/* --- values --- */

static int read_value(cfg_t *section, cfg_opt_t *option, const char *text, void *result) {
    const struct key *key = &keys[option->def.number];
    struct value value = {.place = place_of(parse.source, section->line)};
    struct error why;
    if (!value_parse(key, text, &value.number, &why)) {
        place_error(value.place, parse.error, "%s", why.text);
        parse.has_failed = true;
        return -1;
    }
    value.text = memory_copy_string(text);
    struct value *kept = memory_new(sizeof *kept);
    *kept = value;
    *(void **)result = kept;
    return 0;
}

static void free_value(void *memory) {
    struct value *value = memory;
    free(value->text);
    free(value);
}

/* --- the options that libconfuse is told about, made from the table of keys --- */

struct options {
    cfg_opt_t of[SECTION_COUNT][64]; /* ended by one without a name */
};

static cfg_opt_t *end_of(cfg_opt_t *options) {
    while (options->name) options++;
    return options;
}

/* A section comes after the one that holds it: their parents are filled from the last to the first. */
static void make_options(struct options *options) {
    memset(options, 0, sizeof *options);
    for (int id = SECTION_COUNT - 1; id >= SECTION_FILE; id--) {
        for (size_t i = 0; i < key_count; i++) {
            if (!key_is_in(&keys[i], (enum section_id)id)) continue;
            cfg_flag_t flags = CFGF_NODEFAULT | (keys[i].is_list ? CFGF_LIST : 0);
            *end_of(options->of[id]) = (cfg_opt_t){.name = keys[i].name,
                                                   .type = CFGT_PTR,
                                                   .flags = flags,
                                                   .def.number = (long)i, /* sections of one name have other keys */
                                                   .parsecb = read_value,
                                                   .freecb = free_value};
        }
        if (id == SECTION_FILE) break;
        cfg_flag_t flags = CFGF_MULTI | (sections[id].title ? CFGF_TITLE | CFGF_NO_TITLE_DUPES : 0);
        *end_of(options->of[sections[id].parent]) = (cfg_opt_t){
            .name = sections[id].name, .type = CFGT_SEC, .flags = flags, .subopts = options->of[id]};
    }
}

/* --- the text that libconfuse gets --- */

static void write_token(struct buffer *text, const struct token *token) {
    if (token->kind == TOKEN_WORD) {
        buffer_append_byte(text, '"');
        for (const char *at = token->text; *at; at++) {
            if (isalnum((unsigned char)*at))
                buffer_append_byte(text, (uint8_t)*at);
            else
                buffer_format(text, "\\x%02x", (unsigned)(unsigned char)*at);
        }
        buffer_append_text(text, "\"\n");
    } else if (token->kind == TOKEN_APPEND) {
        buffer_append_text(text, "+=\n");
    } else {
        buffer_append_byte(text, (uint8_t)token->kind);
        buffer_append_byte(text, '\n');
    }
}

__attribute__((format(printf, 2, 0))) static void on_fault(cfg_t *section, const char *format, va_list arguments) {
    if (parse.has_failed) return;
    parse.has_failed = true;
    char text[1024];
    vsnprintf(text, sizeof text, format, arguments);
    struct place place = place_of(parse.source, section->line);
    place_error(place, parse.error, "%s", text);
}

cfg_t *tree_parse(const struct source *source, struct error *error) {
    struct options options;
    struct buffer text = {0};
    make_options(&options);
    for (size_t i = 0; i < source->count; i++) write_token(&text, &source->tokens[i]);
    buffer_append_byte(&text, '\0');

    parse.source = source;
    parse.error = error;
    parse.has_failed = false;
    cfg_t *tree = cfg_init(options.of[SECTION_FILE], CFGF_NONE);
    if (!tree) abort(); /* out of memory, as memory_new() would */
    cfg_set_error_function(tree, on_fault);
    int result = cfg_parse_buf(tree, (const char *)text.data);
    buffer_free(&text);
    parse.source = NULL;
    parse.error = NULL;
    if (result == CFG_SUCCESS) return tree;
    if (!parse.has_failed) error_at(error, source->files[0], 0, "the configuration is not understood");
    cfg_free(tree);
    return NULL;
}

const char *config_versions(void) {
    static char text[64];
    if (!*text) snprintf(text, sizeof text, "libconfuse %s", confuse_version);
    return text;
}

void tree_free(cfg_t *tree) { cfg_free(tree); }

size_t tree_value_count(cfg_t *section, const char *name) { return cfg_size(section, name); }

const struct value *tree_value(cfg_t *section, const char *name, size_t index) {
    return index < cfg_size(section, name) ? cfg_getnptr(section, name, (unsigned)index) : NULL;
}

size_t tree_section_count(cfg_t *section, const char *name) { return cfg_size(section, name); }

cfg_t *tree_section(cfg_t *section, const char *name, size_t index) {
    return index < cfg_size(section, name) ? cfg_getnsec(section, name, (unsigned)index) : NULL;
}

/* libconfuse leaves the line of the closing brace in the section: the opening one is found from there. */
struct place tree_place(const struct source *source, cfg_t *section) {
    int depth = 0;
    for (int line = section->line; line > 0; line--) {
        enum token_kind kind = (size_t)line <= source->count ? source->tokens[line - 1].kind : 0;
        if (kind == TOKEN_CLOSE) depth++;
        if (kind == TOKEN_OPEN && --depth == 0) return place_of(source, line);
    }
    return place_of(source, section->line);
}
