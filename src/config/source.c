/* config/source.c - see source.h */
#include "config/source.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"

/* A file that is being read, and the one that included it. */
struct reader {
    struct source *source;
    struct error *error;
    const struct reader *parent;
    int depth;
    dev_t device; /* and inode: who this file is, to find one that includes itself */
    ino_t inode;
    const char *at, *end;
    struct place place;
    struct buffer word;
};

static bool fault(const struct reader *reader, const char *text) {
    return place_error(reader->place, reader->error, "%s", text);
}

static bool read_tokens(struct reader *reader);

/* --- words --- */

static bool has(const struct reader *reader, const char *text) {
    size_t length = strlen(text);
    return (size_t)(reader->end - reader->at) >= length && !memcmp(reader->at, text, length);
}

static bool is_word_byte(const struct reader *reader) {
    if (reader->at == reader->end || !*reader->at) return false;
    return !strchr(" \t\r\n\"'={}(),#", *reader->at) && !has(reader, "+=");
}

static size_t name_length(const char *at, const char *end) {
    const char *start = at;
    while (at < end && (isalnum((unsigned char)*at) || *at == '_')) at++;
    return at > start && !isdigit((unsigned char)*start) ? (size_t)(at - start) : 0;
}

/* At "${": NAME, or NAME:-default, which stands when the variable is unset or empty. */
static bool read_variable(struct reader *reader) {
    const char *name = reader->at + 2, *end = memchr(name, '}', (size_t)(reader->end - name));
    const char *line_end = memchr(name, '\n', (size_t)(reader->end - name));
    if (!end || (line_end && line_end < end)) return fault(reader, "`${` is never closed by `}`");
    size_t length = name_length(name, end);
    const char *rest = name + length;
    bool has_default = end - rest >= 2 && !memcmp(rest, ":-", 2);
    if (!length || (rest != end && !has_default))
        return place_error(reader->place, reader->error, "`%.*s` is not ${NAME} or ${NAME:-default}",
                           (int)(end + 1 - reader->at), reader->at);
    char *key = memory_copy(name, length);
    const char *value = getenv(key);
    bool uses_default = has_default && (!value || !*value);
    if (uses_default)
        buffer_append(&reader->word, rest + 2, (size_t)(end - rest - 2));
    else if (value)
        buffer_append_text(&reader->word, value);
    else
        place_error(reader->place, reader->error,
                    "the environment variable %s is not set: set it, or write ${%s:-default}", key, key);
    free(key);
    reader->at = end + 1;
    return uses_default || value;
}

static bool read_escape(struct reader *reader) {
    static const char from[] = "nrt\"\\$", to[] = "\n\r\t\"\\$";
    char byte = reader->at + 1 < reader->end ? reader->at[1] : '\0';
    const char *known = byte ? strchr(from, byte) : NULL;
    if (!known) return fault(reader, "a backslash in double quotes may be followed by n r t \" \\ $ only");
    buffer_append_byte(&reader->word, (uint8_t)to[known - from]);
    reader->at += 2;
    return true;
}

static bool read_quoted(struct reader *reader) {
    char quote = *reader->at++;
    for (;;) {
        if (reader->at == reader->end || *reader->at == '\n')
            return fault(reader, "this line's string is never closed");
        if (*reader->at == quote) break;
        if (quote == '"' && *reader->at == '\\') {
            if (!read_escape(reader)) return false;
        } else if (quote == '"' && has(reader, "${")) {
            if (!read_variable(reader)) return false;
        } else {
            buffer_append_byte(&reader->word, (uint8_t)*reader->at++);
        }
    }
    reader->at++;
    return true;
}

static bool read_bare(struct reader *reader) {
    while (is_word_byte(reader)) {
        if (!has(reader, "${"))
            buffer_append_byte(&reader->word, (uint8_t)*reader->at++);
        else if (!read_variable(reader))
            return false;
    }
    return true;
}

/* Leaves the word in reader->word, with a NUL behind it. */
static bool read_word(struct reader *reader) {
    buffer_clear(&reader->word);
    bool is_quoted = *reader->at == '"' || *reader->at == '\'';
    if (is_quoted ? !read_quoted(reader) : !read_bare(reader)) return false;
    buffer_append_byte(&reader->word, '\0');
    bool is_text = strlen((const char *)reader->word.data) + 1 == buffer_length(&reader->word);
    return is_text || fault(reader, "a NUL byte");
}

static bool add_token(struct reader *reader, enum token_kind kind, char *text) {
    struct source *source = reader->source;
    if (source->count == source->capacity) {
        source->capacity = source->capacity ? source->capacity * 2 : 64;
        source->tokens = memory_resize(source->tokens, source->capacity * sizeof *source->tokens);
    }
    source->tokens[source->count++] = (struct token){kind, reader->place, text};
    return source->count <= SOURCE_MOST_TOKENS || fault(reader, "the configuration is too long");
}

/* --- files --- */

static const char *keep_name(struct source *source, const char *name) {
    source->files = memory_resize(source->files, (source->file_count + 2) * sizeof *source->files);
    source->files[source->file_count++] = memory_copy_string(name);
    source->files[source->file_count] = NULL;
    return source->files[source->file_count - 1];
}

static bool read_bytes(int fd, struct buffer *bytes) {
    ssize_t got;
    do {
        got = read(fd, buffer_reserve(bytes, 16384), 16384);
        if (got > 0) buffer_commit(bytes, (size_t)got);
    } while (got > 0 && buffer_length(bytes) <= SOURCE_LARGEST_FILE);
    if (got < 0) return false;
    errno = EFBIG;
    return buffer_length(bytes) <= SOURCE_LARGEST_FILE;
}

static bool read_text(struct reader *reader, const char *text, size_t length) {
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    reader->at = text;
    reader->end = text + length;
    if (has(reader, byte_order_mark)) reader->at += 3;
    bool is_fine = read_tokens(reader);
    buffer_free(&reader->word);
    return is_fine;
}

static bool includes_itself(const struct reader *reader) {
    for (const struct reader *above = reader->parent; above; above = above->parent)
        if (above->device == reader->device && above->inode == reader->inode) return true;
    return false;
}

/* The main file is named by its place already. */
static void blame_errno(const struct reader *reader, const char *file, struct place blame) {
    if (reader->parent)
        place_error(blame, reader->error, "%s: %s", file, strerror(errno));
    else
        place_error(blame, reader->error, "%s", strerror(errno));
}

/* `blame` is where the file was asked for. The main one may be a pipe. */
static bool read_file(struct reader *reader, const char *file, struct place blame) {
    struct stat status;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | (reader->parent ? O_NONBLOCK : 0));
    if (fd < 0 || fstat(fd, &status)) {
        blame_errno(reader, file, blame);
        if (fd >= 0) close(fd);
        return false;
    }
    reader->device = status.st_dev;
    reader->inode = status.st_ino;
    struct buffer bytes = {0};
    bool is_fine = false;
    if (reader->parent && !S_ISREG(status.st_mode))
        place_error(blame, reader->error, "%s is not a file", file);
    else if (includes_itself(reader))
        place_error(blame, reader->error, "%s includes itself", file);
    else if (!read_bytes(fd, &bytes))
        blame_errno(reader, file, blame);
    else
        is_fine = read_text(reader, (const char *)bytes.data, buffer_length(&bytes));
    close(fd);
    buffer_free(&bytes);
    return is_fine;
}

/* --- include --- */

static bool include_file(const struct reader *parent, const char *path) {
    struct reader reader = {
        .source = parent->source, .error = parent->error, .parent = parent, .depth = parent->depth + 1};
    if (reader.depth > SOURCE_DEEPEST_INCLUDE) return fault(parent, "includes are nested too deeply");
    if (parent->source->file_count > SOURCE_MOST_FILES) return fault(parent, "too many files are included");
    reader.place = (struct place){keep_name(parent->source, path), 1};
    return read_file(&reader, path, parent->place);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The paths that the pattern's last part matches, sorted; without any, that is fine. */
static bool include_matching(const struct reader *reader, const char *path) {
    const char *slash = strrchr(path, '/'), *pattern = slash ? slash + 1 : path;
    char *folder = slash ? memory_copy(path, (size_t)(slash - path + 1)) : memory_copy_string("./");
    DIR *directory = opendir(folder);
    char **names = NULL;
    size_t count = 0;
    for (struct dirent *entry; directory && count < SOURCE_MOST_TOKENS && (entry = readdir(directory));) {
        if (fnmatch(pattern, entry->d_name, FNM_PERIOD)) continue;
        names = memory_resize(names, (count + 1) * sizeof *names);
        names[count++] =
            slash ? memory_format("%s%s", folder, entry->d_name) : memory_copy_string(entry->d_name);
    }
    if (directory) closedir(directory);
    free(folder);
    if (count) qsort(names, count, sizeof *names, compare_names);
    bool is_fine = true;
    for (size_t i = 0; i < count; i++) {
        is_fine = is_fine && include_file(reader, names[i]);
        free(names[i]);
    }
    free(names);
    return is_fine;
}

static void skip_spaces(struct reader *reader) {
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t')) reader->at++;
}

/* Behind the word `include`: ("path") */
static bool read_include(struct reader *reader) {
    skip_spaces(reader);
    bool is_call = reader->at < reader->end && *reader->at == '(';
    if (is_call) reader->at++, skip_spaces(reader);
    is_call = is_call && reader->at < reader->end &&
              (is_word_byte(reader) || *reader->at == '"' || *reader->at == '\'');
    if (is_call && !read_word(reader)) return false;
    skip_spaces(reader);
    if (!is_call || reader->at == reader->end || *reader->at++ != ')')
        return fault(reader, "write include(\"file\")");
    char *path = source_resolve(reader->place.file, (const char *)reader->word.data);
    bool is_pattern = strpbrk((const char *)reader->word.data, "*?[") != NULL;
    bool is_fine = is_pattern ? include_matching(reader, path) : include_file(reader, path);
    free(path);
    return is_fine;
}

/* --- tokens --- */

/* True when a comment was skipped; an open one is left to fail as what it is. */
static bool skip_comment(struct reader *reader) {
    const char *end = NULL;
    if (has(reader, "#") || has(reader, "//")) {
        end = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
        reader->at = end ? end : reader->end;
        return true;
    }
    if (!has(reader, "/*") ||
        !(end = memmem(reader->at + 2, (size_t)(reader->end - reader->at) - 2, "*/", 2)))
        return false;
    for (; reader->at < end; reader->at++) reader->place.line += *reader->at == '\n';
    reader->at += 2;
    return true;
}

/* The lines of this file's open braces, so that the right one can be blamed. */
struct braces {
    int lines[64];
    int depth;
};

static bool read_sign(struct reader *reader, struct braces *braces) {
    const int deepest = sizeof braces->lines / sizeof *braces->lines;
    char sign = *reader->at++;
    if (sign == '{') {
        if (braces->depth == deepest) return fault(reader, "braces are nested too deeply");
        braces->lines[braces->depth++] = reader->place.line;
    }
    if (sign == '}' && !braces->depth--) return fault(reader, "this `}` closes nothing");
    if (sign == '+') reader->at++;
    return add_token(reader, (enum token_kind)sign, NULL);
}

static bool read_token(struct reader *reader, struct braces *braces) {
    if (strchr("={},", *reader->at) || has(reader, "+=")) return read_sign(reader, braces);
    if (has(reader, "/*")) return fault(reader, "this comment is never closed");
    if (*reader->at == '(' || *reader->at == ')')
        return fault(reader,
                     "parentheses belong to include(\"file\") only; a text that has them needs quotes");
    bool is_quoted = *reader->at == '"' || *reader->at == '\'';
    if (!read_word(reader)) return false;
    const char *word = (const char *)reader->word.data;
    if (!is_quoted && !strcmp(word, "include")) return read_include(reader);
    return add_token(reader, TOKEN_WORD, memory_copy_string(word));
}

static bool read_tokens(struct reader *reader) {
    struct braces braces = {.depth = 0};
    while (reader->at < reader->end) {
        char byte = *reader->at;
        if (byte == '\n')
            reader->place.line++, reader->at++;
        else if (byte == ' ' || byte == '\t' || byte == '\r')
            reader->at++;
        else if (byte == '\0')
            return fault(reader, "a NUL byte");
        else if (!skip_comment(reader) && !read_token(reader, &braces))
            return false;
    }
    if (!braces.depth) return true;
    reader->place.line = braces.lines[braces.depth - 1];
    return fault(reader, "this `{` is never closed");
}

/* --- what the header promises --- */

bool source_read(struct source *source, const char *file, const char *text, size_t length,
                 struct error *error) {
    *source = (struct source){0};
    struct reader reader = {.source = source, .error = error, .place = {keep_name(source, file), 1}};
    return text ? read_text(&reader, text, length) : read_file(&reader, file, (struct place){file, 0});
}

void source_free(struct source *source, bool keeps_files) {
    for (size_t i = 0; i < source->count; i++) free(source->tokens[i].text);
    free(source->tokens);
    for (size_t i = 0; !keeps_files && i < source->file_count; i++) free(source->files[i]);
    if (!keeps_files) free(source->files);
    *source = (struct source){0};
}

char *source_resolve(const char *file, const char *path) {
    const char *slash = strrchr(file, '/');
    if (*path == '/' || !slash) return memory_copy_string(path);
    /* People read these paths in faults: the folder of the file itself gets no dot behind it. */
    if (strncmp(path, "./", 2) == 0) path += 2;
    if (strcmp(path, ".") == 0) return memory_copy(file, slash == file ? 1 : (size_t)(slash - file));
    return memory_format("%.*s%s", (int)(slash - file + 1), file, path);
}

bool place_error(struct place place, struct error *error, const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return error_at(error, place.file, place.line, "%s", text);
}
