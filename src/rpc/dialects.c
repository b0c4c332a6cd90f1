/* rpc/dialects.c - which requests are whose. A dialect that is added stands in this table. */
#include <strings.h>

#include "rpc/dialect.h"

/* By the content type up to its suffix or parameters; compared whole, so that none is the beginning of another. */
static const struct door {
    struct text type;
    const struct dialect *dialect;
} doors[] = {
    {TEXT("application/grpc"), &grpc_dialect},
};

static const struct door *find_door(struct text type, enum codec *codec) {
    struct text base = request_type_split(type, codec);
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
        if (base.length == doors[i].type.length && strncasecmp(base.data, doors[i].type.data, base.length) == 0)
            return &doors[i];
    return NULL;
}

void dialect_recognise(struct arrival *arrival) {
    const struct door *door = find_door(arrival->request.type, &arrival->codec);
    if (door) arrival->dialect = door->dialect;
}

bool dialect_type_is_grpc(struct text type) {
    enum codec codec;
    const struct door *door = find_door(type, &codec);
    return door && door->dialect == &grpc_dialect;
}
