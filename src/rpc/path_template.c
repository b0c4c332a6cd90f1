/* rpc/path_template.c - see path_template.h */
#include "rpc/path_template.h"

#include <stdlib.h>

#include "base/hex.h"
#include "base/memory.h"

struct parser {
    struct path_template *to;
    const char *at;
    bool is_in_variable;
    struct error *error;
};

static bool fail(const struct parser *parser, const char *text) {
    error_set(parser->error, "\"%s\": %s", parser->to->source, text);
    return false;
}

static bool is_name_byte(char c, bool is_first) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') return true;
    return !is_first && c >= '0' && c <= '9';
}

static bool parse_segments(struct parser *parser);

/* "{" is behind us. */
static bool parse_variable(struct parser *parser) {
    struct path_template *to = parser->to;
    if (parser->is_in_variable) return fail(parser, "a variable within another");
    if (to->variable_count == PATH_VARIABLES_MOST) return fail(parser, "too many variables");
    struct path_variable *variable = &to->variables[to->variable_count++];
    const char *begin = parser->at;
    do {
        if (parser->at != begin) parser->at++;
        if (!is_name_byte(*parser->at, true)) return fail(parser, "a variable has the name of a field");
        while (is_name_byte(*parser->at, false)) parser->at++;
    } while (*parser->at == '.');
    variable->name = (struct text){begin, (size_t)(parser->at - begin)};
    variable->first = to->segment_count;
    for (const struct path_variable *other = to->variables; other < variable; other++)
        if (other->name.length == variable->name.length && !memcmp(other->name.data, begin, other->name.length))
            return fail(parser, "a variable stands twice");
    if (*parser->at == '=') {
        parser->at++;
        parser->is_in_variable = true;
        if (!parse_segments(parser)) return false;
        parser->is_in_variable = false;
    } else {
        if (to->segment_count == PATH_SEGMENTS_MOST) return fail(parser, "too many segments");
        to->segments[to->segment_count++] = (struct path_segment){.kind = PATH_ONE};
    }
    variable->count = to->segment_count - variable->first;
    if (*parser->at != '}') return fail(parser, "a variable is not closed by \"}\"");
    parser->at++;
    return true;
}

static bool parse_segment(struct parser *parser) {
    struct path_template *to = parser->to;
    const char *begin = parser->at;
    if (*begin == '{') {
        parser->at++;
        return parse_variable(parser);
    }
    if (to->segment_count == PATH_SEGMENTS_MOST) return fail(parser, "too many segments");
    struct path_segment *segment = &to->segments[to->segment_count++];
    while (*parser->at && !strchr("/:{}=", *parser->at)) parser->at++;
    segment->literal = (struct text){begin, (size_t)(parser->at - begin)};
    if (text_is(segment->literal, "*")) segment->kind = PATH_ONE;
    else if (text_is(segment->literal, "**")) segment->kind = PATH_REST;
    else if (!segment->literal.length) return fail(parser, "a segment is empty");
    else if (memchr(begin, '*', segment->literal.length)) return fail(parser, "\"*\" is a segment by itself");
    else if (strpbrk(begin, "?# ")) return fail(parser, "a path has no \"?\", \"#\" or blank");
    return true;
}

static bool parse_segments(struct parser *parser) {
    for (;;) {
        if (!parse_segment(parser)) return false;
        if (*parser->at != '/') return true;
        parser->at++;
    }
}

static bool check_rest(const struct parser *parser) {
    const struct path_template *to = parser->to;
    for (size_t i = 0; i + 1 < to->segment_count; i++)
        if (to->segments[i].kind == PATH_REST) return fail(parser, "something stands behind \"**\"");
    return true;
}

static bool parse(struct parser *parser) {
    struct path_template *to = parser->to;
    if (*parser->at++ != '/') return fail(parser, "a path begins with \"/\"");
    if (*parser->at && !parse_segments(parser)) return false;
    if (*parser->at == ':') {
        to->verb = (struct text){parser->at + 1, strlen(parser->at + 1)};
        if (!to->verb.length || strpbrk(to->verb.data, "/:{}*?# ")) return fail(parser, "a verb is a word at the end");
        parser->at += 1 + to->verb.length;
    }
    return *parser->at ? fail(parser, "a brace or \"=\" stands where none can be") : check_rest(parser);
}

struct path_template *path_template_parse(const char *text, struct error *error) {
    struct path_template *template = memory_new(sizeof *template);
    template->source = memory_copy_string(text);
    struct parser parser = {.to = template, .at = template->source, .error = error};
    if (!parse(&parser)) path_template_free(&template);
    return template;
}

void path_template_free(struct path_template **handle) {
    struct path_template *template = *handle;
    *handle = NULL;
    if (!template) return;
    free(template->source);
    free(template);
}

/* ---- matching ---- */

/* The next byte that the text means; moves *at behind it. -1: a "%" is followed by no two digits. */
static int next_byte(struct text text, size_t *at) {
    char c = text.data[(*at)++];
    if (c != '%') return (uint8_t)c;
    int high = text.length - *at >= 2 ? hex_value(text.data[*at]) : -1;
    int low = text.length - *at >= 2 ? hex_value(text.data[*at + 1]) : -1;
    *at += 2;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* What is malformed is no literal. */
int path_compare_literal(struct text literal, struct text written) {
    size_t length = 0;
    for (size_t at = 0; at < written.length; length++) {
        int byte = next_byte(written, &at);
        if (byte < 0 || length == literal.length || (uint8_t)literal.data[length] < byte) return -1;
        if ((uint8_t)literal.data[length] > byte) return 1;
    }
    return length < literal.length;
}

bool path_value_decode(const struct path_template *template, size_t variable, struct text value, struct buffer *out) {
    const struct path_variable *of = &template->variables[variable];
    bool is_one = of->count == 1 && template->segments[of->first].kind != PATH_REST;
    for (size_t at = 0; at < value.length;) {
        int byte = next_byte(value, &at);
        if (byte < 0) return false;
        if (byte == '/' && value.data[at - 1] != '/' && !is_one) buffer_append(out, value.data + at - 3, 3);
        else buffer_append_byte(out, (uint8_t)byte);
    }
    return true;
}

static bool take_verb(const struct path_template *template, struct text *path) {
    size_t length = template->verb.length;
    if (!length) return true;
    if (path->length < length + 1 || path->data[path->length - length - 1] != ':') return false;
    if (memcmp(path->data + path->length - length, template->verb.data, length) != 0) return false;
    path->length -= length + 1;
    return true;
}

bool path_template_match(const struct path_template *template, struct text path, struct path_match *match) {
    struct text places[PATH_SEGMENTS_MOST];
    if (!path.length || *path.data != '/' || !take_verb(template, &path)) return false;
    const char *at = path.data + 1, *end = path.data + path.length;
    bool has_ended = !template->segment_count && at == end;
    for (size_t i = 0; i < template->segment_count; i++) {
        const struct path_segment *segment = &template->segments[i];
        const char *slash = has_ended ? NULL : memchr(at, '/', (size_t)(end - at));
        if (segment->kind == PATH_REST) slash = NULL;
        if (has_ended && segment->kind != PATH_REST) return false;
        places[i] = has_ended ? (struct text){end, 0} : (struct text){at, (size_t)((slash ? slash : end) - at)};
        if (segment->kind == PATH_LITERAL && path_compare_literal(segment->literal, places[i])) return false;
        if (segment->kind == PATH_ONE && !places[i].length) return false;
        has_ended = !slash;
        if (slash) at = slash + 1;
    }
    if (!has_ended) return false;
    for (size_t i = 0; i < template->variable_count; i++) {
        const struct text *first = &places[template->variables[i].first];
        const struct text *last = first + template->variables[i].count - 1;
        match->values[i] = (struct text){first->data, (size_t)(last->data + last->length - first->data)};
    }
    return true;
}

/* ---- which goes first ---- */

static int compare_segments(const struct path_segment *a, const struct path_segment *b) {
    if (a->kind != b->kind) return (int)a->kind - (int)b->kind;
    if (a->kind != PATH_LITERAL) return 0;
    size_t length = a->literal.length < b->literal.length ? a->literal.length : b->literal.length;
    int order = memcmp(a->literal.data, b->literal.data, length);
    return order ? order : (int)a->literal.length - (int)b->literal.length;
}

int path_template_compare(const struct path_template *a, const struct path_template *b) {
    for (size_t i = 0; i < a->segment_count && i < b->segment_count; i++) {
        int order = compare_segments(&a->segments[i], &b->segments[i]);
        if (order) return order;
    }
    if (a->segment_count != b->segment_count) return a->segment_count > b->segment_count ? -1 : 1;
    if (!a->verb.length != !b->verb.length) return a->verb.length ? -1 : 1;
    size_t length = a->verb.length < b->verb.length ? a->verb.length : b->verb.length;
    int order = length ? memcmp(a->verb.data, b->verb.data, length) : 0;
    return order ? order : (int)a->verb.length - (int)b->verb.length;
}
