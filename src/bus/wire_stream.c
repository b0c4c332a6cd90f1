/* bus/wire_stream.c - see wire_private.h: the stream that keeps what topics keep. */
#include <stdio.h>

#include "bus/subject.h"
#include "bus/wire_private.h"

enum { CLOCK_QUESTIONS = 3 }; /* the quickest answer says most */
#define DUPLICATES (120 * NS_PER_S) /* how long the server knows a message again, unless told otherwise */

static natsStatus add_stream(struct wire *wire, jsStreamInfo **info) {
    const struct config_bus *config = wire->using;
    const struct config_bus_stream *stream = config->stream;
    char subject[128];
    const char *subjects[] = {subject};
    jsStreamConfig wanted;
    snprintf(subject, sizeof subject, "%s.%c.*", config->subject, SUBJECT_KEPT);
    jsStreamConfig_Init(&wanted);
    wanted.Name = stream->name;
    wanted.Subjects = subjects;
    wanted.SubjectsLen = 1;
    wanted.Storage = stream->storage == STORAGE_FILE ? js_FileStorage : js_MemoryStorage;
    wanted.Replicas = stream->replicas;
    wanted.MaxMsgsPerSubject = stream->messages;
    wanted.MaxBytes = (int64_t)stream->bytes;
    wanted.MaxAge = (int64_t)stream->age;
    wanted.Discard = js_DiscardOld;
    if (stream->age && stream->age < DUPLICATES) wanted.Duplicates = (int64_t)stream->age;
    return js_AddStream(info, wire->stream, &wanted, NULL, NULL);
}

/* How much more the server's clock says than our monotonic one, at least and at most. It tells its time when something is
 * made: this consumer, which brings nothing and is gone at once. */
static bool ask_for_clock(struct wire *wire, int64_t *least, int64_t *most) {
    const char *stream = wire->using->stream->name;
    jsConsumerConfig wanted;
    jsConsumerInfo *info = NULL;
    jsConsumerConfig_Init(&wanted);
    wanted.DeliverPolicy = js_DeliverNew;
    wanted.MemoryStorage = true;
    wanted.InactiveThreshold = (int64_t)NS_PER_S;
    int64_t before = (int64_t)clock_monotonic();
    if (js_AddConsumer(&info, wire->stream, stream, &wanted, NULL, NULL) != NATS_OK) return false;
    int64_t after = (int64_t)clock_monotonic();
    *least = info->Created - after;
    *most = info->Created - before;
    js_DeleteConsumer(wire->stream, stream, info->Name, NULL, NULL);
    jsConsumerInfo_Destroy(info);
    return true;
}

/* Messages carry the server's time. Where its clock may be the same as ours, as far as it says, it is. */
static void read_clock(struct wire *wire) {
    int64_t least, most;
    wire->clock = (int64_t)clock_wall() - (int64_t)clock_monotonic();
    for (int i = 0; i < CLOCK_QUESTIONS && ask_for_clock(wire, &least, &most); i++) {
        if (wire->clock >= least && wire->clock <= most) return;
        wire->clock = wire->clock < least ? least : most;
    }
}

bool wire_open_stream(struct wire *wire) {
    jsOptions options;
    jsStreamInfo *info = NULL;
    char why[256];
    wire->stream_last = wire->stream_born = 0;
    if (!wire->using->stream) return true;
    jsOptions_Init(&options);
    options.Wait = wire_milliseconds(WIRE_PATIENCE);
    natsStatus status = natsConnection_JetStream(&wire->stream, wire->connection, &options);
    if (status == NATS_OK) status = js_GetStreamInfo(&info, wire->stream, wire->using->stream->name, NULL, NULL);
    if (status == NATS_NOT_FOUND) status = add_stream(wire, &info);
    if (status == NATS_OK) {
        wire->stream_last = info->State.LastSeq;
        wire->stream_born = (uint64_t)info->Created;
        read_clock(wire);
    } else {
        snprintf(why, sizeof why, "the stream %s: %s", wire->using->stream->name, wire_reason(status));
        wire_set_why(wire, why);
    }
    jsStreamInfo_Destroy(info);
    return status == NATS_OK;
}

/* That is no fault of the connection: others go on. */
static natsStatus refuse(struct wire *wire, const struct want *want, natsStatus status) {
    char why[400];
    snprintf(why, sizeof why, "\"%.100s\" cannot be followed in the stream: %s", want->follow->subject, wire_reason(status));
    wire->events.on_fault(wire->context, why);
    wire->events.on_refused(wire->context, want->follow->consumer);
    return NATS_OK;
}

natsStatus wire_add_consumer(struct wire *wire, const struct want *want) {
    jsConsumerConfig wanted;
    jsConsumerInfo *info = NULL;
    jsErrCode refusal = 0;
    if (!wire->stream) return NATS_INVALID_ARG;
    jsConsumerConfig_Init(&wanted);
    wanted.Name = want->follow->consumer;
    wanted.DeliverSubject = want->subject;
    wanted.FilterSubject = want->follow->subject;
    wanted.DeliverPolicy = js_DeliverByStartSequence;
    wanted.OptStartSeq = want->follow->after + 1;
    wanted.AckPolicy = js_AckNone;
    wanted.Heartbeat = (int64_t)STREAM_HEARTBEAT;
    wanted.MemoryStorage = true;
    natsStatus status = js_AddConsumer(&info, wire->stream, wire->using->stream->name, &wanted, NULL, &refusal);
    if (status == NATS_OK) wire->events.on_followed(wire->context, want->follow->consumer, info->NumPending);
    else if (refusal) status = refuse(wire, want, status);
    else wire_set_why(wire, wire_reason(status));
    jsConsumerInfo_Destroy(info);
    return status;
}
