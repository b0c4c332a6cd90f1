/* rpc/dialects.c - which requests are whose. A dialect that is added stands in this table. */
#include <strings.h>

#include "rpc/connect.h"
#include "rpc/rest.h"

/* By the content type up to its suffix or parameters; compared whole, so that none is the beginning of another. */
static const struct door {
    struct text type;
    const struct dialect *dialect;
    enum codec codec; /* that the type itself says; CODEC_PLAIN: its suffix does */
} doors[] = {
    {TEXT("application/grpc"), &grpc_dialect},
    {TEXT("application/grpc-web"), &grpc_web_dialect},
    {TEXT("application/grpc-web-text"), &grpc_web_text_dialect},
    {TEXT("application/connect"), &connect_stream_dialect},
    {TEXT("application/proto"), &connect_unary_dialect, CODEC_PROTO},
    {TEXT("application/json"), &connect_unary_dialect, CODEC_JSON},
};

static const struct door *find_door(struct text type, enum codec *codec) {
    struct text base = request_type_split(type, codec);
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
        if (base.length == doors[i].type.length && strncasecmp(base.data, doors[i].type.data, base.length) == 0)
            return &doors[i];
    return NULL;
}

void dialect_recognise(struct arrival *arrival) {
    const struct request *request = &arrival->request;
    if (text_is(request->protocol, "websocket") && !text_is(request->method, "POST")) {
        arrival->dialect = &websocket_dialect;
        return;
    }
    const struct door *door = find_door(request->type, &arrival->codec);
    bool may_be_rest = !door || door->dialect == &connect_unary_dialect; /* the others' types are theirs alone */
    if (may_be_rest && rest_recognise(arrival)) arrival->dialect = &rest_dialect;
    else if (door) arrival->dialect = door->dialect;
    else if (!request->type.length && connect_is_get(request)) arrival->dialect = &connect_get_dialect;
    if (door && door->codec && arrival->dialect == door->dialect)
        arrival->codec = arrival->codec == CODEC_PLAIN ? door->codec : CODEC_UNKNOWN;
}

bool dialect_type_is_grpc(struct text type) {
    enum codec codec;
    const struct door *door = find_door(type, &codec);
    return door && door->dialect == &grpc_dialect;
}
