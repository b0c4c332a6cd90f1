/* rpc/path_template.h - paths with variables, as google.api.http writes them (google/api/http.proto):
 *
 *   Template = "/" Segments [ ":" Verb ]      Segments = Segment { "/" Segment }
 *   Segment  = "*" | "**" | Literal | Variable     Variable = "{" Field { "." Field } [ "=" Segments ] "}"
 *
 * "*" is one segment that is not empty, "**" the rest of them, none too; it can only be the last. */
#ifndef TIDEWIRE_RPC_PATH_TEMPLATE_H
#define TIDEWIRE_RPC_PATH_TEMPLATE_H
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "rpc/request.h"

enum { PATH_SEGMENTS_MOST = 32, PATH_VARIABLES_MOST = 16 };

enum path_segment_kind { PATH_LITERAL, PATH_ONE, PATH_REST };

struct path_segment {
    enum path_segment_kind kind;
    struct text literal;
};

struct path_variable {
    struct text name;    /* "book.name" */
    size_t first, count; /* segments */
};

struct path_template {
    char *source; /* what the texts point into */
    struct path_segment segments[PATH_SEGMENTS_MOST];
    size_t segment_count;
    struct path_variable variables[PATH_VARIABLES_MOST];
    size_t variable_count;
    struct text verb; /* behind the colon; or empty */
};

/* What a path has in the places of the variables, as it is written there. */
struct path_match {
    struct text values[PATH_VARIABLES_MOST];
};

/* NULL and a sentence when the text is no template. */
struct path_template *path_template_parse(const char *text, struct error *error);
void path_template_free(struct path_template **path_template);
/* `path` is without a query. Literals are compared as they are written, or percent-encoded. */
bool path_template_match(const struct path_template *path_template, struct text path, struct path_match *match);
/* Less than 0: the literal goes before what a path has written, percent-encoded or not, in the order of templates. */
int path_compare_literal(struct text literal, struct text written);
/* Appends what a value means: for "**" a "%2F" is left, as the others are separators. False: it is malformed. */
bool path_value_decode(const struct path_template *path_template, size_t variable, struct text value,
                       struct buffer *out);
/* Less than 0: where both match, `a` goes before `b`. The first segment that differs decides: a literal goes before
 * "*", and that before "**". 0: nobody could tell which of the two was meant. */
int path_template_compare(const struct path_template *a, const struct path_template *b);
#endif
