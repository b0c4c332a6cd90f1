/* What a gateway takes of a message of the client library. */
#include "bus/wire_private.h"

#include "check.h"

static const struct wire wire = {.events = {.headers = {"Type", "From", "Sequence", "Last"}}};

static natsMsg *native_new(const char *reply, const char *data, int length) {
    natsMsg *native;
    CHECK(natsMsg_Create(&native, "a.subject", reply, data, length) == NATS_OK);
    return native;
}

static void set(natsMsg *native, const char *name, const char *value) {
    CHECK(natsMsgHeader_Set(native, name, value) == NATS_OK);
}

static struct wire_message *take(natsMsg *native) {
    struct wire_message *message = wire_take(&wire, native);
    natsMsg_Destroy(native);
    return message;
}

static void it_is_all_there(void) {
    natsMsg *native = native_new("a.reply", "data\0more", 9);
    set(native, "Type", "a.Type");
    set(native, "Sequence", "7");
    struct wire_message *message = take(native);
    CHECK_STR(message->subject, "a.subject");
    CHECK_STR(message->reply, "a.reply");
    CHECK_MEM(message->data, message->length, "data\0more", 9);
    CHECK_STR(wire_header(message, "Type"), "a.Type");
    CHECK_STR(wire_header(message, "Sequence"), "7");
    CHECK(!wire_header(message, "From"));
    CHECK(!wire_header(message, "Other"));
    free(message);
    message = take(native_new(NULL, NULL, 0));
    CHECK(!message->reply);
    CHECK_INT(message->length, 0);
    CHECK(!wire_header(message, "Type"));
    free(message);
}

/* The server counts headers and data together, and a message may be all headers. */
static void headers_of_others_are_not_kept(void) {
    enum { MUCH = 1000 * 1000 };
    char *much = malloc(MUCH + 1);
    memset(much, 'x', MUCH);
    much[MUCH] = '\0';
    natsMsg *native = native_new(NULL, "data", 4);
    set(native, "Other", much);
    set(native, "From", much); /* longer than any of ours */
    set(native, "Type", "a.Type");
    struct wire_message *message = take(native);
    CHECK_STR(wire_header(message, "Type"), "a.Type");
    CHECK(!wire_header(message, "From"));
    CHECK(message->size < sizeof *message + 100);
    free(message);
    free(much);
}

int main(void) {
    CHECK(nats_Open(-1) == NATS_OK);
    RUN(it_is_all_there);
    RUN(headers_of_others_are_not_kept);
    nats_ReleaseThreadMemory();
    CHECK(nats_CloseAndWait(0) == NATS_OK);
    return 0;
}
