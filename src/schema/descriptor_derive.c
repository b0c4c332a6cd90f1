/* schema/descriptor_derive.c - see descriptor.h */
#include <string.h>

#include "schema/descriptor.h"

/* The shape is what the JSON code relies on: the type of every field by number, R in front when repeated. */
static const struct known_type {
    const char *name;
    enum well_known kind;
    uint8_t field_count;
    bool is_repeated; /* the only field */
    uint8_t types[6];
} known_types[] = {
    {"Any", WELL_KNOWN_ANY, 2, false, {FIELD_STRING, FIELD_BYTES}},
    {"Timestamp", WELL_KNOWN_TIMESTAMP, 2, false, {FIELD_INT64, FIELD_INT32}},
    {"Duration", WELL_KNOWN_DURATION, 2, false, {FIELD_INT64, FIELD_INT32}},
    {"FieldMask", WELL_KNOWN_FIELD_MASK, 1, true, {FIELD_STRING}},
    {"Struct", WELL_KNOWN_STRUCT, 1, true, {FIELD_MESSAGE}},
    {"ListValue", WELL_KNOWN_LIST, 1, true, {FIELD_MESSAGE}},
    {"Value",
     WELL_KNOWN_VALUE,
     6,
     false,
     {FIELD_ENUM, FIELD_DOUBLE, FIELD_STRING, FIELD_BOOL, FIELD_MESSAGE, FIELD_MESSAGE}},
    {"Empty", WELL_KNOWN_EMPTY, 0, false, {0}},
    {"DoubleValue", WELL_KNOWN_WRAPPER, 1, false, {FIELD_DOUBLE}},
    {"FloatValue", WELL_KNOWN_WRAPPER, 1, false, {FIELD_FLOAT}},
    {"Int64Value", WELL_KNOWN_WRAPPER, 1, false, {FIELD_INT64}},
    {"UInt64Value", WELL_KNOWN_WRAPPER, 1, false, {FIELD_UINT64}},
    {"Int32Value", WELL_KNOWN_WRAPPER, 1, false, {FIELD_INT32}},
    {"UInt32Value", WELL_KNOWN_WRAPPER, 1, false, {FIELD_UINT32}},
    {"BoolValue", WELL_KNOWN_WRAPPER, 1, false, {FIELD_BOOL}},
    {"StringValue", WELL_KNOWN_WRAPPER, 1, false, {FIELD_STRING}},
    {"BytesValue", WELL_KNOWN_WRAPPER, 1, false, {FIELD_BYTES}},
};

static bool has_shape(const struct message_type *type, const struct known_type *known) {
    if (type->field_count != known->field_count) return false;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        if (field->number != i + 1 || field->type != known->types[i] ||
            field->is_repeated != known->is_repeated)
            return false;
    }
    return true;
}

static enum well_known find_well_known(const struct message_type *type) {
    const char package[] = "google.protobuf.";
    if (strncmp(type->full_name, package, sizeof package - 1)) return NOT_WELL_KNOWN;
    const char *name = type->full_name + sizeof package - 1;
    for (size_t i = 0; i < sizeof known_types / sizeof *known_types; i++)
        if (!strcmp(name, known_types[i].name) && has_shape(type, &known_types[i]))
            return known_types[i].kind;
    return NOT_WELL_KNOWN;
}

/* Struct, Value and ListValue are made of one another; one of them alone is an ordinary message. */
static bool is_json_value(const struct message_type *type) {
    const struct message_type *below;
    switch (type->well_known) {
    case WELL_KNOWN_STRUCT:
        if (!type->fields[0].is_map || type->fields[0].message->fields[0].type != FIELD_STRING) return false;
        below = type->fields[0].message->fields[1].message;
        return below && below->well_known == WELL_KNOWN_VALUE;
    case WELL_KNOWN_LIST:
        return type->fields[0].message->well_known == WELL_KNOWN_VALUE;
    case WELL_KNOWN_VALUE:
        return type->fields[4].message->well_known == WELL_KNOWN_STRUCT &&
               type->fields[5].message->well_known == WELL_KNOWN_LIST;
    default:
        return true;
    }
}

static void set_well_known(struct descriptor_builder *builder) {
    for (size_t i = 0; i < builder->message_count; i++)
        builder->messages[i].type->well_known = (uint8_t)find_well_known(builder->messages[i].type);
    /* What loses its mark may cost another one its own: at most three rounds. */
    for (bool is_settled = false; !is_settled;) {
        is_settled = true;
        for (size_t i = 0; i < builder->message_count; i++) {
            struct message_type *type = builder->messages[i].type;
            if (is_json_value(type)) continue;
            type->well_known = NOT_WELL_KNOWN;
            is_settled = false;
        }
    }
}

/* Types may contain one another in circles, so the marks spread until nothing changes. */
static bool spread(struct message_type *type) {
    bool had_required = type->has_required, needed_utf8 = type->needs_utf8;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        type->has_required |= field->is_required || (field->message && field->message->has_required);
        type->needs_utf8 |= field->is_utf8 || (field->message && field->message->needs_utf8);
    }
    return type->has_required != had_required || type->needs_utf8 != needed_utf8;
}

void descriptor_derive(struct descriptor_builder *builder) {
    set_well_known(builder);
    for (bool is_settled = false; !is_settled;) {
        is_settled = true;
        for (size_t i = builder->message_count; i-- > 0;)
            if (spread(builder->messages[i].type)) is_settled = false;
    }
}
