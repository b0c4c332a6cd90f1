/* config/reference.c - the table of keys as a file to start from and as a page to read. */
#include <string.h>

#include "base/buffer.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/value.h"

enum { LINE_WIDTH = 100 };

/* --- tidewire config default --- */

/* Sections that can't be empty are only shown. */
static bool is_shown_only(enum section_id id) {
    return id == SECTION_TLS || id == SECTION_CORS || id == SECTION_ADMIN || id == SECTION_UPSTREAM || id == SECTION_PEER || id == SECTION_BUS ||
           id == SECTION_LIMIT || id == SECTION_SERVICE || id == SECTION_METHOD || id == SECTION_ROUTE;
}

static void indent(struct buffer *out, int depth, bool is_comment) {
    for (int i = 0; i < depth; i++) buffer_append_text(out, "    ");
    if (is_comment) buffer_append_text(out, "# ");
}

/* The words as comment lines. */
static void write_comment(struct buffer *out, int depth, const char *text) {
    size_t room = LINE_WIDTH - 4 * (size_t)depth - 2;
    while (*text) {
        size_t length = strlen(text);
        if (length > room)
            for (length = room; text[length] != ' ';) length--;
        indent(out, depth, true);
        buffer_append(out, text, length);
        buffer_append_byte(out, '\n');
        text += length;
        while (*text == ' ') text++;
    }
}

static void write_key(struct buffer *out, const struct key *key, enum section_id id, int depth,
                      bool is_comment) {
    bool is_limit_of_call = key->section != id;
    if (!is_limit_of_call) write_comment(out, depth, key->help);
    indent(out, depth, is_comment || key->example || is_limit_of_call);
    const char *value = key->example ? key->example : key->standard;
    bool is_quoted = !key->example && (key->type == VALUE_TEXT || key->type == VALUE_PATH);
    buffer_format(out, "%s = %s%s%s%s%s\n", key->name, key->is_list ? "{ " : "", is_quoted ? "\"" : "", value,
                  is_quoted ? "\"" : "", key->is_list ? " }" : "");
}

static void write_section(struct buffer *out, enum section_id id, int depth, bool is_comment) {
    for (size_t i = 0; i < key_count; i++)
        if (key_is_in(&keys[i], id)) write_key(out, &keys[i], id, depth, is_comment);
    for (int child = SECTION_FILE + 1; child < SECTION_COUNT; child++) {
        const struct section *section = &sections[child];
        if (section->parent != id) continue;
        bool is_child_comment = is_comment || is_shown_only((enum section_id)child);
        buffer_append_byte(out, '\n');
        write_comment(out, depth, section->help);
        indent(out, depth, is_child_comment);
        if (section->title)
            buffer_format(out, "%s \"%s\" {\n", section->name, section->example);
        else
            buffer_format(out, "%s {\n", section->name);
        write_section(out, (enum section_id)child, depth + 1, is_child_comment);
        indent(out, depth, is_child_comment);
        buffer_append_text(out, "}\n");
    }
}

void config_write_default(struct buffer *out) {
    buffer_append_text(
        out,
        "# tidewire.conf with every key at its default. What begins with \"# key =\" has no default, or\n"
        "# belongs to a section that needs a value of yours. Lines that say the default can go.\n\n");
    write_section(out, SECTION_FILE, 0, false);
}

/* --- tidewire config reference --- */

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "`tidewire run -c FILE` reads one file; `tidewire check -c FILE` reads it and serves nothing. Without "
    "`-c` the file is "
    "`$TIDEWIRE_CONFIG`, else the first of `./tidewire.conf`, `./etc/tidewire.conf` and "
    "`/etc/tidewire/tidewire.conf` "
    "that exists. `tidewire config default` writes a file with every key at its default. A fault anywhere in "
    "the file "
    "is told as `file:line: error: …`, and nothing is served, or, at a reload, the configuration before it "
    "stays in "
    "force.\n"
    "\n"
    "*This page is written by `tidewire config reference`.*\n"
    "\n"
    "## How it is written\n"
    "\n"
    "```\n"
    "# a comment, as is // this, and /* this */\n"
    "key = value\n"
    "list = { one, \"number two\" }        # a list of one needs no braces\n"
    "section { key = value }\n"
    "section \"title\" { key = value }\n"
    "include(\"conf.d/*.conf\")            # in the place of this line\n"
    "```\n"
    "\n"
    "- A key may stand once in its section, a section once with the same title. `list += value` adds to a "
    "list.\n"
    "- Sizes have a unit: `B`, `KiB`, `MiB`, `GiB` (1024), `KB`, `MB`, `GB` (1000). Durations too: `ms`, "
    "`s`, `m`, `h`, "
    "`d`. Only `0` may go without.\n"
    "- Text needs quotes when it has spaces or one of `\" ' = { } ( ) , #` in it. In double quotes `\\n`, "
    "`\\r`, `\\t`, `\\\"`, "
    "`\\\\` and `\\$` stand for what they usually do; in single quotes everything is as it is.\n"
    "- `${NAME}` is the environment variable, and a fault when that is not set; `${NAME:-text}` is `text` "
    "when it is not "
    "set or empty. Not in single quotes.\n"
    "- A relative path starts from the folder of the file that it stands in. That is so for `include(\"…\")` "
    "as well, whose "
    "last part may be a pattern; what it matches is read in the order of the names. Files include each other "
    "at most ten "
    "deep.\n"
    "- `on` and `off` may be written `yes` and `no`, `true` and `false`.\n";

/* In a cell of a table a bar ends the cell. */
static void write_cell(struct buffer *out, const char *text) {
    for (; *text; text++) {
        if (*text == '|') buffer_append_byte(out, '\\');
        buffer_append_byte(out, (uint8_t)*text);
    }
}

static void write_row(struct buffer *out, const struct key *key) {
    char kind[512];
    value_describe(key, kind, sizeof kind);
    buffer_format(out, "| `%s` | %s | ", key->name, kind);
    if (key->standard) buffer_format(out, "`%s`", key->standard);
    buffer_append_text(out, " | ");
    write_cell(out, key->help);
    if (key->is_per_call) buffer_append_text(out, " *Also in `service` and `method`.*");
    buffer_append_text(out, " |\n");
}

static void write_heading(struct buffer *out, enum section_id id) {
    const struct section *section = &sections[id];
    buffer_append_text(out, "\n## ");
    if (id == SECTION_FILE)
        buffer_append_text(out, "At the top of the file");
    else if (section->title)
        buffer_format(out, "`%s \"%s\" { }`", section->name, section->title);
    else
        buffer_format(out, "`%s { }`", section->name);
    if (section->parent) buffer_format(out, " in `%s`", sections[section->parent].name);
    buffer_format(out, "\n\n%s\n", section->help);
}

void config_write_reference(struct buffer *out) {
    buffer_append_text(out, introduction);
    for (int id = SECTION_FILE; id < SECTION_COUNT; id++) {
        write_heading(out, (enum section_id)id);
        bool has_keys = false;
        for (size_t i = 0; i < key_count; i++) {
            if (keys[i].section != (enum section_id)id) continue;
            if (!has_keys) buffer_append_text(out, "\n| key | value | default | |\n|---|---|---|---|\n");
            has_keys = true;
            write_row(out, &keys[i]);
        }
    }
}
