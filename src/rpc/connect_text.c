/* rpc/connect_text.c - see connect.h */
#include <ctype.h>

#include "rpc/call_private.h"
#include "rpc/connect.h"
#include "rpc/router.h"
#include "rpc/status_details.h"
#include "rpc/status_text.h"
#include "schema/json_text.h"

const char *connect_http_status(enum refusal refusal, enum status status) {
    static const char *const of_refusal[] = {[REFUSED_PATH] = "404",
                                             [REFUSED_VERB] = "405",
                                             [REFUSED_TYPE] = "415"};
    static const char *const of_status[STATUS_COUNT] = {
        [STATUS_OK] = "200",
        [STATUS_CANCELLED] = "499",
        [STATUS_UNKNOWN] = "500",
        [STATUS_INVALID_ARGUMENT] = "400",
        [STATUS_DEADLINE_EXCEEDED] = "504",
        [STATUS_NOT_FOUND] = "404",
        [STATUS_ALREADY_EXISTS] = "409",
        [STATUS_PERMISSION_DENIED] = "403",
        [STATUS_RESOURCE_EXHAUSTED] = "429",
        [STATUS_FAILED_PRECONDITION] = "400",
        [STATUS_ABORTED] = "409",
        [STATUS_OUT_OF_RANGE] = "400",
        [STATUS_UNIMPLEMENTED] = "501",
        [STATUS_INTERNAL] = "500",
        [STATUS_UNAVAILABLE] = "503",
        [STATUS_DATA_LOSS] = "500",
        [STATUS_UNAUTHENTICATED] = "401",
    };
    const char *own = (size_t)refusal < sizeof of_refusal / sizeof *of_refusal ? of_refusal[refusal] : NULL;
    if (own) return own;
    return status < STATUS_COUNT ? of_status[status] : "500";
}

/* "NOT_FOUND" is not_found here; and one name has one letter less. */
static void write_code(struct buffer *out, enum status status) {
    const char *name = status_name(status);
    buffer_append_byte(out, '"');
    if (status == STATUS_CANCELLED) buffer_append_text(out, "canceled");
    else
        for (; *name; name++) buffer_append_byte(out, (uint8_t)tolower((unsigned char)*name));
    buffer_append_byte(out, '"');
}

static void write_base64(struct buffer *out, const void *bytes, size_t length) {
    buffer_append_byte(out, '"');
    base64_write(out, bytes, length, false);
    buffer_append_byte(out, '"');
}

/* ---- details ---- */

static void write_detail(struct buffer *out, const struct status_detail *detail, const struct schema *schema) {
    struct buffer json = {0};
    const struct message_type *type;
    buffer_append_text(out, "{\"type\":");
    status_text_quote(out, detail->name.length ? detail->name.data : "", detail->name.length);
    buffer_append_text(out, ",\"value\":");
    write_base64(out, detail->value.data, detail->value.length);
    if (status_detail_write(&json, detail, schema, &type)) {
        buffer_append_text(out, ",\"debug\":");
        buffer_append(out, buffer_bytes(&json), buffer_length(&json));
    }
    buffer_free(&json);
    buffer_append_byte(out, '}');
}

static void write_details(struct buffer *out, const void *details, size_t length, const struct schema *schema) {
    struct status_details list = status_details_begin(details, length);
    struct status_detail detail;
    bool is_first = true;
    while (status_details_next(&list, &detail)) {
        buffer_append_text(out, is_first ? ",\"details\":[" : ",");
        write_detail(out, &detail, schema);
        is_first = false;
    }
    if (!is_first) buffer_append_byte(out, ']');
}

void connect_write_error(struct buffer *out, enum status status, const char *text, const void *details,
                         size_t details_length, const struct schema *schema) {
    buffer_append_text(out, "{\"code\":");
    write_code(out, status);
    if (text && *text) {
        buffer_append_text(out, ",\"message\":");
        status_text_quote(out, text, strlen(text));
    }
    write_details(out, details, details_length, schema);
    buffer_append_byte(out, '}');
}

/* ---- the end of a stream ---- */

static bool is_same_name(const struct metadata_entry *a, const struct metadata_entry *b) {
    return a->name_length == b->name_length && memcmp(a->name, b->name, a->name_length) == 0;
}

static void write_value(struct buffer *out, const struct metadata_entry *entry) {
    if (metadata_is_binary(entry->name, entry->name_length)) write_base64(out, entry->value, entry->value_length);
    else json_quote(out, entry->value, entry->value_length);
}

/* Each name once, at the place of its first value. */
void connect_write_metadata(struct buffer *out, const struct metadata *metadata) {
    for (size_t i = 0; i < metadata->count; i++) {
        const struct metadata_entry *entry = &metadata->entries[i];
        size_t first = 0;
        while (!is_same_name(&metadata->entries[first], entry)) first++;
        if (first < i) continue;
        if (i) buffer_append_byte(out, ',');
        json_quote(out, entry->name, entry->name_length);
        buffer_append_text(out, ":[");
        write_value(out, entry);
        for (size_t j = i + 1; j < metadata->count; j++) {
            if (!is_same_name(&metadata->entries[j], entry)) continue;
            buffer_append_byte(out, ',');
            write_value(out, &metadata->entries[j]);
        }
        buffer_append_byte(out, ']');
    }
}

const struct schema *connect_schema(const struct rpc_call *call) {
    return call->call.route ? router_schema(call->call.route->router) : NULL;
}

void connect_write_end(struct buffer *out, const struct rpc_call *call, const void *details, size_t details_length) {
    bool has_failed = call->status != STATUS_OK, has_metadata = call->trailers && call->trailers->count;
    buffer_append_byte(out, '{');
    if (has_failed) {
        buffer_append_text(out, "\"error\":");
        connect_write_error(out, (enum status)call->status, call->text, details, details_length, connect_schema(call));
    }
    if (has_metadata) {
        buffer_append_text(out, has_failed ? ",\"metadata\":{" : "\"metadata\":{");
        connect_write_metadata(out, call->trailers);
        buffer_append_byte(out, '}');
    }
    buffer_append_byte(out, '}');
}
