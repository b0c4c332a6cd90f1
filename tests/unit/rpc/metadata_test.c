#include "rpc/metadata.h"

#include "check.h"

#define ADD(metadata, name, value) metadata_add(metadata, name, strlen(name), value, strlen(value))

static void values_of_a_name_keep_their_order(void) {
    struct metadata metadata = {0};
    CHECK_INT(ADD(&metadata, "a", "1"), METADATA_OK);
    CHECK_INT(ADD(&metadata, "b", "2"), METADATA_OK);
    CHECK_INT(ADD(&metadata, "a", " 3 "), METADATA_OK);
    size_t place = 0;
    CHECK_STR(metadata_find(&metadata, "a", 1, &place)->value, "1");
    CHECK_STR(metadata_find(&metadata, "a", 1, &place)->value, "3");
    CHECK(!metadata_find(&metadata, "a", 1, &place));
    CHECK_INT(metadata.bytes, 3 * 34);
    metadata_remove(&metadata, "a", 1);
    CHECK_INT(metadata.count, 1);
    CHECK_INT(metadata.bytes, 34);
    metadata_clear(&metadata);
    CHECK_INT(metadata.count, 0);
}

static void setting_replaces_all_or_nothing(void) {
    struct metadata metadata = {0};
    ADD(&metadata, "a", "1");
    ADD(&metadata, "a", "2");
    CHECK_INT(metadata_set(&metadata, "a", 1, "\n", 1), METADATA_BAD_VALUE);
    CHECK_INT(metadata.count, 2);
    CHECK_INT(metadata_set(&metadata, metadata.entries[0].name, 1, metadata.entries[1].value, 1),
              METADATA_OK);
    CHECK_INT(metadata.count, 1);
    CHECK_STR(metadata.entries[0].name, "a");
    CHECK_STR(metadata.entries[0].value, "2");
    metadata_clear(&metadata);
}

static void names_and_values_are_checked(void) {
    struct metadata metadata = {0};
    static const struct {
        const char *name, *value;
        enum metadata_fault fault;
    } all[] = {{"", "", METADATA_BAD_NAME},
               {"A", "", METADATA_BAD_NAME},
               {"a b", "", METADATA_BAD_NAME},
               {"a\xC3\xA4", "", METADATA_BAD_NAME},
               {":path", "", METADATA_RESERVED},
               {"grpc-status", "", METADATA_RESERVED},
               {"grpc-", "", METADATA_RESERVED},
               {"grpc", "", METADATA_OK},
               {"content-type", "", METADATA_RESERVED},
               {"te", "", METADATA_RESERVED},
               {"connection", "", METADATA_RESERVED},
               {"transfer-encoding", "", METADATA_RESERVED},
               {"x", "a\x7F", METADATA_BAD_VALUE},
               {"x", "a\tb", METADATA_BAD_VALUE},
               {"x", "\xC3\xA4", METADATA_BAD_VALUE},
               {"x-bin", "\xC3\x01", METADATA_OK},
               {"-bin", "\x01", METADATA_BAD_VALUE},
               {"0_.-", "~ !", METADATA_OK}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK_INT(ADD(&metadata, all[i].name, all[i].value), all[i].fault);
        CHECK(strlen(metadata_fault_text(all[i].fault)) > 0);
    }
    metadata_clear(&metadata);
}

static void the_list_is_bounded(void) {
    struct metadata metadata = {0};
    static char value[1024];
    memset(value, 'v', sizeof value);
    enum metadata_fault fault;
    while ((fault = metadata_add(&metadata, "x", 1, value, sizeof value)) == METADATA_OK) {
    }
    CHECK_INT(fault, METADATA_TOO_LARGE);
    CHECK(metadata.bytes <= 32768 && metadata.bytes > 30000);
    CHECK_INT(metadata_add(&metadata, "x-bin", 5, value, SIZE_MAX), METADATA_TOO_LARGE);
    metadata_clear(&metadata);
}

int main(void) {
    RUN(values_of_a_name_keep_their_order);
    RUN(setting_replaces_all_or_nothing);
    RUN(names_and_values_are_checked);
    RUN(the_list_is_bounded);
    return 0;
}
