/* fanout/fields.c - see fields.h */
#include "fanout/fields.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "schema/wire.h"

static uint32_t tag_of(const struct field *field) { return field->number << 3 | field->wire_type; }

/* Reads the value behind `tag`; NULL at the end of what can be read. */
static const uint8_t *read_value(const uint8_t *at, const uint8_t *end, uint32_t tag, struct field_value *value) {
    size_t length;
    uint32_t bits;
    switch (tag & 7) {
    case WIRE_VARINT: return wire_read_varint(at, end, &value->bits);
    case WIRE_64: return wire_read_64(at, end, &value->bits);
    case WIRE_32:
        at = wire_read_32(at, end, &bits);
        if (at) value->bits = bits;
        return at;
    case WIRE_BYTES:
        at = wire_read_length(at, end, &length);
        if (!at) return NULL;
        value->data = at;
        value->length = (uint32_t)length;
        return at + length;
    default: return wire_skip(at, end, tag >> 3, tag & 7, WIRE_DEPTH);
    }
}

/* Tells `note` of each value, in order, until there is none or it says no. */
static void walk(struct fields *fields, bool (*note)(void *context, uint32_t tag, const struct field_value *value),
                 void *context) {
    const uint8_t *at = fields->bytes, *end = at + fields->length;
    struct field_value value = {0};
    uint32_t number;
    unsigned type;
    for (uint32_t order = 1; at < end; order++) {
        if (!(at = wire_read_tag(at, end, &number, &type))) return;
        uint32_t tag = number << 3 | type;
        if (!(at = read_value(at, end, tag, &value))) return;
        value.order = order;
        if (!note(context, tag, &value)) return;
    }
}

static struct field_value *find_noted(struct fields *fields, uint32_t tag) {
    for (uint32_t i = 0; i < fields->count; i++)
        if (fields->tags[i] == tag) return &fields->values[i];
    return NULL;
}

static bool note_value(void *context, uint32_t tag, const struct field_value *value) {
    struct fields *fields = context;
    struct field_value *noted = find_noted(fields, tag);
    if (!noted && fields->count == FIELDS_NOTED) {
        fields->is_partial = true;
        return true;
    }
    if (!noted) {
        fields->tags[fields->count] = tag;
        noted = &fields->values[fields->count++];
    }
    *noted = *value;
    return true;
}

struct search {
    uint32_t tag;
    bool is_found;
    struct field_value value;
};

static bool note_wanted(void *context, uint32_t tag, const struct field_value *value) {
    struct search *search = context;
    if (tag != search->tag) return true;
    search->is_found = true;
    search->value = *value;
    return true;
}

static bool find(struct fields *fields, uint32_t tag, struct field_value *value) {
    if (!fields->is_read) {
        fields->is_read = true;
        fields->is_partial = false;
        fields->count = 0;
        walk(fields, note_value, fields);
    }
    const struct field_value *noted = find_noted(fields, tag);
    if (noted) {
        *value = *noted;
        return true;
    }
    if (!fields->is_partial) return false;
    struct search search = {.tag = tag};
    walk(fields, note_wanted, &search);
    *value = search.value;
    return search.is_found;
}

static uint64_t canonical(const struct field *field, uint64_t bits) {
    switch ((enum field_type)field->type) {
    case FIELD_BOOL: return bits != 0;
    case FIELD_INT32:
    case FIELD_ENUM:
    case FIELD_SFIXED32: return (uint64_t)(int64_t)(int32_t)bits;
    case FIELD_UINT32: return (uint32_t)bits;
    case FIELD_SINT32: return (uint64_t)wire_unzigzag((uint32_t)bits);
    case FIELD_SINT64: return (uint64_t)wire_unzigzag(bits);
    default: return bits;
    }
}

static void read_default(const struct field *field, struct field_value *value) {
    value->bits = field->default_value.unsigned_integer;
    if (field->type == FIELD_FLOAT) value->bits = wire_float_bits((float)field->default_value.number);
    if (field->wire_type != WIRE_BYTES) return;
    value->data = (const uint8_t *)field->default_value.bytes.data;
    value->length = (uint32_t)field->default_value.bytes.length;
}

/* A later member of the same oneof has taken its place. */
static bool is_ousted(const struct message_type *type, const struct field *field, struct fields *fields,
                      uint32_t order) {
    if (field->oneof < 0) return false;
    const struct oneof *oneof = &type->oneofs[field->oneof];
    struct field_value rival;
    for (size_t i = 0; i < oneof->field_count; i++)
        if (find(fields, tag_of(&type->fields[oneof->fields[i]]), &rival) && rival.order > order) return true;
    return false;
}

bool field_is_plain(const struct field *field) { return !field->is_repeated && !field->is_map && !field->message; }

bool field_read(const struct message_type *type, const struct field *field, struct fields *fields,
                struct field_value *value) {
    bool is_there = find(fields, tag_of(field), value);
    if (is_there && field->wire_type != WIRE_BYTES) value->bits = canonical(field, value->bits);
    if (is_there && field->enumeration && field->enumeration->is_closed)
        is_there = enum_name(field->enumeration, (int32_t)value->bits) != NULL;
    if (is_there && is_ousted(type, field, fields, value->order)) is_there = false;
    if (is_there) return true;
    if (field->has_presence) return false;
    read_default(field, value);
    return true;
}

/* As numbers, not as bits: there are two zeros, and what is no number equals nothing. */
static bool is_same_number(double a, double b) { return a <= b && a >= b; }

bool field_values_are_equal(const struct field *field, const struct field_value *a, const struct field_value *b) {
    if (field->wire_type == WIRE_BYTES)
        return a->length == b->length && (!a->length || memcmp(a->data, b->data, a->length) == 0);
    if (field->type == FIELD_DOUBLE) return is_same_number(wire_double(a->bits), wire_double(b->bits));
    if (field->type == FIELD_FLOAT)
        return is_same_number(wire_float((uint32_t)a->bits), wire_float((uint32_t)b->bits));
    return a->bits == b->bits;
}

/* ---- filters ---- */

struct field_test {
    const struct field *field;
    bool is_set; /* false: never equal */
    struct field_value value;
};

struct field_filter {
    const struct message_type *type;
    uint8_t *wanted; /* what the values point into */
    size_t length;
    size_t count;
    struct field_test tests[];
};

struct field_filter *field_filter_new(const struct message_type *type, const struct field *const *fields, size_t count,
                                      const void *wanted, size_t length) {
    struct field_filter *filter = memory_new(sizeof *filter + count * sizeof filter->tests[0]);
    struct fields read;
    filter->type = type;
    filter->wanted = (uint8_t *)memory_copy(wanted, length);
    filter->length = length;
    filter->count = count;
    fields_init(&read, filter->wanted, length);
    for (size_t i = 0; i < count; i++) {
        struct field_test *test = &filter->tests[i];
        test->field = fields[i];
        test->is_set = field_read(type, fields[i], &read, &test->value);
    }
    return filter;
}

struct field_filter *field_filter_move(const struct field_filter *filter, const struct message_type *type) {
    const struct field **fields = memory_new((filter->count + 1) * sizeof *fields);
    struct field_filter *moved = NULL;
    size_t count = 0;
    for (; count < filter->count; count++) {
        const struct field *before = filter->tests[count].field;
        const struct field *now = fields[count] = message_field(type, before->name, strlen(before->name));
        if (!now || !field_is_plain(now) || now->number != before->number || now->type != before->type) break;
    }
    if (count == filter->count) moved = field_filter_new(type, fields, count, filter->wanted, filter->length);
    free(fields);
    return moved;
}

void field_filter_free(struct field_filter **filter) {
    if (!*filter) return;
    free((*filter)->wanted);
    free(*filter);
    *filter = NULL;
}

bool field_filter_passes(const struct field_filter *filter, struct fields *fields) {
    struct field_value value;
    for (size_t i = 0; i < filter->count; i++) {
        const struct field_test *test = &filter->tests[i];
        if (!test->is_set || !field_read(filter->type, test->field, fields, &value) ||
            !field_values_are_equal(test->field, &value, &test->value))
            return false;
    }
    return true;
}
