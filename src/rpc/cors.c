/* rpc/cors.c - see cors.h */
#include "rpc/cors.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "rpc/header_block.h"

struct cors {
    char **origins;
    char *headers;    /* a list with commas; NULL: whatever is asked for */
    char max_age[24]; /* seconds */
    bool allows_all, credentials;
    atomic_uint references;
};

/* What a page needs for the protocols that are spoken here. */
static const char own_headers[] =
    "content-type, grpc-timeout, grpc-encoding, grpc-accept-encoding, x-grpc-web, x-user-agent, connect-protocol-version, "
    "connect-timeout-ms, connect-content-encoding, connect-accept-encoding, content-encoding";

static char *join(const char *first, char *const *rest) {
    struct buffer list = {0};
    buffer_append_text(&list, first);
    for (; rest && *rest; rest++) {
        buffer_append_text(&list, ", ");
        buffer_append_text(&list, *rest);
    }
    buffer_append_byte(&list, 0);
    char *text = memory_copy_string((const char *)buffer_bytes(&list));
    buffer_free(&list);
    return text;
}

static bool lists(char *const *list, const char *word) {
    for (; list && *list; list++)
        if (strcmp(*list, word) == 0) return true;
    return false;
}

static char **copy_list(char *const *list) {
    size_t count = 0;
    while (list[count]) count++;
    char **copy = memory_new((count + 1) * sizeof *copy);
    for (size_t i = 0; i < count; i++) copy[i] = memory_copy_string(list[i]);
    return copy;
}

struct cors *cors_new(const struct cors_options *options) {
    struct cors *cors = memory_new(sizeof *cors);
    cors->origins = copy_list(options->origins);
    cors->allows_all = lists(options->origins, "*");
    if (!lists(options->headers, "*")) cors->headers = join(own_headers, options->headers);
    snprintf(cors->max_age, sizeof cors->max_age, "%llu", (unsigned long long)(options->max_age / NS_PER_S));
    cors->credentials = options->credentials;
    atomic_init(&cors->references, 1);
    return cors;
}

struct cors *cors_ref(struct cors *cors) {
    if (cors) atomic_fetch_add(&cors->references, 1);
    return cors;
}

void cors_unref(struct cors **handle) {
    struct cors *cors = *handle;
    *handle = NULL;
    if (!cors || atomic_fetch_sub(&cors->references, 1) > 1) return;
    for (char **origin = cors->origins; *origin; origin++) free(*origin);
    free(cors->origins);
    free(cors->headers);
    free(cors);
}

/* ---- origins ---- */

/* A star in the place of the first label is every name below the rest, with the same scheme and port. */
static bool matches(const char *pattern, struct text origin) {
    const char *star = strchr(pattern, '*');
    if (!star) return text_is(origin, pattern);
    size_t before = (size_t)(star - pattern), after = strlen(star + 1);
    if (origin.length <= before + after || memcmp(origin.data, pattern, before) != 0) return false;
    if (memcmp(origin.data + origin.length - after, star + 1, after) != 0) return false;
    for (size_t i = before; i < origin.length - after; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", origin.data[i]) || !origin.data[i]) return false;
    return true;
}

bool cors_allows(const struct cors *cors, struct text origin) {
    if (!origin.length) return false;
    if (cors->allows_all) return true;
    for (char **pattern = cors->origins; *pattern; pattern++)
        if (matches(*pattern, origin)) return true;
    return false;
}

bool cors_is_same_origin(struct text origin, struct text authority) {
    static const char separator[] = "://";
    const char *at = origin.length ? memmem(origin.data, origin.length, separator, 3) : NULL;
    if (!at) return origin.length == 0;
    struct text host = {at + 3, origin.length - (size_t)(at + 3 - origin.data)};
    return host.length == authority.length && strncasecmp(host.data, authority.data, host.length) == 0;
}

bool cors_may_call(const struct cors *cors, struct text origin, struct text authority) {
    return cors_is_same_origin(origin, authority) || (cors && cors_allows(cors, origin));
}

bool cors_takes_credentials(const struct cors *cors) { return cors->credentials; }

/* ---- headers ---- */

/* True when the page may see the answer, and then it has been said. */
static bool add_origin(const struct cors *cors, struct text origin, struct header_block *block) {
    if (!cors_allows(cors, origin)) return false;
    if (cors->allows_all) HEADER_BLOCK_ADD(block, "access-control-allow-origin", "*");
    else header_block_add(block, "access-control-allow-origin", 27, origin.data, origin.length);
    if (cors->credentials) HEADER_BLOCK_ADD(block, "access-control-allow-credentials", "true");
    return true;
}

static void write_names(const struct header_block *block, struct buffer *text) {
    buffer_clear(text);
    for (size_t i = 0; i < block->count; i++) {
        const struct http_header *header = &block->headers[i];
        if (header->name[0] == ':') continue;
        if (buffer_length(text)) buffer_append_text(text, ", ");
        buffer_append(text, header->name, header->name_length);
    }
}

void cors_add(const struct cors *cors, struct text origin, struct header_block *block, struct buffer *text) {
    write_names(block, text);
    if (add_origin(cors, origin, block))
        header_block_add(block, "access-control-expose-headers", 29, (const char *)buffer_bytes(text), buffer_length(text));
    if (!cors->allows_all) HEADER_BLOCK_ADD(block, "vary", "Origin"); /* for caches: also without them */
}

void cors_add_preflight(const struct cors *cors, struct text origin, struct text asked, struct header_block *block) {
    if (add_origin(cors, origin, block)) {
        const char *headers = cors->headers ? cors->headers : asked.data;
        size_t length = cors->headers ? strlen(cors->headers) : asked.length;
        HEADER_BLOCK_ADD(block, "access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE");
        if (length) header_block_add(block, "access-control-allow-headers", 28, headers, length);
        header_block_add(block, "access-control-max-age", 22, cors->max_age, strlen(cors->max_age));
    }
    HEADER_BLOCK_ADD(block, "vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
}
