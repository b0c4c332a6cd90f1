/* Templates of paths, and paths: the first line is the template, the rest the path. What fits lies within the path, part
 * by part, and a template that is printed from itself is the same one. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "rpc/path_template.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void match(const struct path_template *template, const char *path, size_t length) {
    struct path_match found;
    struct buffer value = {0};
    char *copy = malloc(length ? length : 1); /* no byte more: what is read beyond is found */
    if (length) memcpy(copy, path, length);
    if (path_template_match(template, (struct text){copy, length}, &found)) {
        for (size_t i = 0; i < template->variable_count; i++) {
            CHECK(found.values[i].data >= copy && found.values[i].data + found.values[i].length <= copy + length);
            buffer_clear(&value);
            if (path_value_decode(template, i, found.values[i], &value)) CHECK(buffer_length(&value) <= found.values[i].length);
        }
    }
    buffer_free(&value);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    const uint8_t *line = size ? memchr(bytes, '\n', size) : NULL;
    size_t length = line ? (size_t)(line - bytes) : size;
    struct error error;
    char *text = malloc(length + 1);
    if (length) memcpy(text, bytes, length);
    text[length] = 0;
    struct path_template *template = path_template_parse(text, &error), *again;
    if (template) {
        CHECK(template->segment_count <= PATH_SEGMENTS_MOST && template->variable_count <= PATH_VARIABLES_MOST);
        CHECK((again = path_template_parse(template->source, &error)));
        CHECK(path_template_compare(template, again) == 0);
        if (line) match(template, (const char *)line + 1, size - length - 1);
        path_template_free(&again);
    } else {
        CHECK(strlen(error.text) > 0);
    }
    path_template_free(&template);
    free(text);
    return 0;
}
