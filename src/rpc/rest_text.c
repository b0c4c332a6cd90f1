/* rpc/rest_text.c - see rest.h */
#include <inttypes.h>
#include <stdio.h>

#include "rpc/call_private.h"
#include "rpc/connect.h"
#include "rpc/meter.h"
#include "rpc/rest.h"
#include "rpc/router.h"
#include "rpc/status_details.h"
#include "rpc/status_text.h"

/* google.protobuf.Any as JSON: its fields beside its type, or "value" where its type has a form of its own in JSON. */
static void write_detail(struct buffer *out, const struct status_detail *detail, const struct schema *schema) {
    struct buffer json = {0};
    const struct message_type *type;
    buffer_append_text(out, "{\"@type\":");
    status_text_quote(out, detail->url.length ? detail->url.data : "", detail->url.length);
    if (!status_detail_write(&json, detail, schema, &type)) {
        buffer_append_text(out, ",\"value\":\"");
        base64_write(out, detail->value.data, detail->value.length, true);
        buffer_append_text(out, "\"}");
    } else if (type->well_known != NOT_WELL_KNOWN && type->well_known != WELL_KNOWN_EMPTY) {
        buffer_append_text(out, ",\"value\":");
        buffer_append(out, buffer_bytes(&json), buffer_length(&json));
        buffer_append_byte(out, '}');
    } else {
        bool is_empty = buffer_length(&json) == 2; /* {} */
        if (!is_empty) buffer_append_byte(out, ',');
        buffer_append(out, buffer_bytes(&json) + 1, buffer_length(&json) - 1);
    }
    buffer_free(&json);
}

/* `details` is always there, as clients of other gateways expect. */
void rest_write_status(struct buffer *out, enum status status, const char *text, const void *details,
                       size_t details_length, const struct schema *schema) {
    struct status_details list = status_details_begin(details, details_length);
    struct status_detail detail;
    bool is_first = true;
    buffer_format(out, "{\"code\":%d,\"message\":", (int)status);
    status_text_quote(out, text ? text : "", text ? strlen(text) : 0);
    buffer_append_text(out, ",\"details\":[");
    while (status_details_next(&list, &detail)) {
        if (!is_first) buffer_append_byte(out, ',');
        is_first = false;
        write_detail(out, &detail, schema);
    }
    buffer_append_text(out, "]}");
}

size_t rest_write_retry(char text[REST_RETRY_MOST], const void *details, size_t details_length) {
    uint64_t seconds = status_details_retry(status_details_begin(details, details_length));
    return seconds ? (size_t)snprintf(text, REST_RETRY_MOST, "%" PRIu64, seconds) : 0;
}

/* ---- refusing ---- */

/* The verbs that the path is served with: a list in the block's memory. */
static void add_allow(const struct arrival *arrival, struct header_block *block, struct buffer *list) {
    struct text query, path = text_cut(arrival->rest.target, '?', &query);
    const struct path_route *route;
    struct path_match match;
    size_t place = 0;
    buffer_clear(list);
    while ((route = router_next_path(arrival_router(arrival), PATH_HTTP, path, &match, &place))) {
        const char *verb = route->rest->verb;
        size_t length = buffer_length(list);
        if (length && text_lists((struct text){(const char *)buffer_bytes(list), length}, verb)) continue;
        if (length) buffer_append_text(list, ", ");
        buffer_append_text(list, rest_route_takes_head(route->rest) ? "GET, HEAD" : verb);
    }
    header_block_add(block, "allow", 5, (const char *)buffer_bytes(list), buffer_length(list));
}

void rest_refuse(const struct arrival *arrival, enum refusal refusal, enum status status, const char *text) {
    struct rpc *rpc = arrival->connection->rpc;
    struct header_block *block = &rpc->block;
    uint8_t details[METER_DETAILS_MOST];
    char retry[REST_RETRY_MOST];
    size_t details_length = arrival->verdict ? meter_write_details(arrival->verdict, details) : 0;
    size_t retry_length = rest_write_retry(retry, details, details_length);
    const struct router *router = arrival_router(arrival);
    buffer_clear(&rpc->scratch);
    rest_write_status(&rpc->scratch, status, text, details, details_length, router ? router_schema(router) : NULL);
    header_block_begin(block, 0, NULL, NULL);
    header_block_add(block, ":status", 7, connect_http_status(refusal, status), 3);
    HEADER_BLOCK_ADD(block, "content-type", "application/json");
    if (retry_length) header_block_add(block, "retry-after", 11, retry, retry_length);
    if (refusal == REFUSED_VERB) add_allow(arrival, block, &rpc->framed);
    if (refusal == REFUSED_ENCODING) HEADER_BLOCK_ADD(block, "accept-encoding", "gzip");
    if (refusal == REFUSED_TYPE) HEADER_BLOCK_ADD(block, "accept-post", "application/json, application/x-ndjson");
    arrival_answer(arrival, status, block, buffer_bytes(&rpc->scratch), buffer_length(&rpc->scratch));
}
