/* rpc/inbound.c - see inbound.h */
#include "rpc/inbound.h"

#include <assert.h>
#include <stdlib.h>

#include "rpc/call_private.h"

enum {
    FIRST_GROWTH = 256,   /* and the most that a message without a prefix has to be small */
    DOUBLING = 64 * 1024,
    MOST_IN_PLACE = 1024, /* messages; no handler takes more in one turn */
};

static uint32_t payload_length(const uint8_t *prefix) {
    return (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 | prefix[4];
}

static void range_free(struct rpc_call *call, struct range *range) {
    account_discharge(call, range->charged);
    message_unref(&range->owner);
    if (range->slab.data) buffer_free(&range->slab);
    pool_give(&call->call.rpc->ranges, range);
}

static struct range *range_append(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    struct inbound *in = &call->inbound;
    struct range *range = pool_take(&call->call.rpc->ranges);
    range->bytes = bytes;
    range->left = range->owed = (uint32_t)length;
    if (in->last)
        in->last->next = range;
    else
        in->first = range;
    in->last = range;
    return range;
}

static void count_whole(struct inbound *in, uint32_t messages) {
    in->whole += messages;
    in->received = in->received > UINT32_MAX - messages ? UINT32_MAX : in->received + messages;
}

/* What the prefix says, judged before any memory is taken for the message. */
static bool prefix_is_fine(struct rpc_call *call, const uint8_t *prefix) {
    struct inbound *in = &call->inbound;
    in->is_faulty = true;
    if (prefix[0] > 1) {
        call_fault(call, STATUS_INTERNAL, REASON_CLIENT, "a message has the unknown flags %u", prefix[0]);
    } else if (prefix[0] == 1 && call->encoding == ENCODING_IDENTITY) {
        call_fault(call, STATUS_INTERNAL, REASON_CLIENT,
                   "a message is marked as compressed, but no grpc-encoding was sent");
    } else if (payload_length(prefix) > call->most_message) {
        counter_add(&call->call.rpc->counters.limited, 1);
        call_fault(call, STATUS_RESOURCE_EXHAUSTED, REASON_LIMIT,
                   "received message larger than max (%u vs. %u)", payload_length(prefix),
                   call->most_message);
    } else {
        in->is_faulty = false;
    }
    return !in->is_faulty;
}

/* ---- the message that a chunk's end has cut ---- */

static bool may_give_window(const struct rpc_call *call) {
    return call->inbound.whole == 0 && !account_is_limited(call->account);
}

static void partial_received(struct rpc_call *call, size_t bytes) {
    struct inbound *in = &call->inbound;
    in->have += (uint32_t)bytes;
    call->progress = loop_now(call->call.rpc->loop);
    if (may_give_window(call))
        call_give_window(call, bytes);
    else
        in->owed += (uint32_t)bytes;
}

/* Geometric, so that bytes are moved seldom; in small steps where the accounts are at a bound, so that they
 * stay near it. Never more than the message needs. */
static uint64_t grown_capacity(const struct rpc_call *call, uint64_t have, uint64_t need, uint64_t length) {
    const struct account *account = call->account;
    uint64_t growth = have < DOUBLING ? have : 3 * have;
    if (account_is_limited(account) ||
        account->buffered + growth > account->rpc->limits.buffered_per_connection ||
        counter_read(&account->rpc->counters.buffered) + growth > account->rpc->limits.buffered_total)
        growth = have / 8;
    uint64_t capacity = have + growth < need ? need : have + growth;
    if (capacity < FIRST_GROWTH) capacity = FIRST_GROWTH;
    return capacity > length ? length : capacity;
}

/* A message that is larger than the window would stop its peer again and again for a WINDOW_UPDATE. What may wait in
 * a stream anyway can come in one go. */
static void widen_window(const struct rpc_call *call, uint64_t length) {
    if (!call->stream || account_is_limited(call->account)) return;
    http_stream_widen(call->stream, length < call->most_queued ? (uint32_t)length : call->most_queued);
}

/* Makes room for `need` bytes of the message, of which `have` are there; it will have at most `most`. */
static struct message *partial_grow(struct rpc_call *call, uint64_t have, uint64_t need, uint64_t most) {
    struct inbound *in = &call->inbound;
    struct message *message = in->partial;
    if (message && message->capacity >= need) return message;
    uint64_t capacity = grown_capacity(call, have, need, most);
    in->partial = message = message ? message_resize(message, capacity) : message_new(capacity);
    account_charge(call, capacity - in->charged);
    in->charged = capacity;
    return message;
}

static void partial_drop(struct rpc_call *call) {
    struct inbound *in = &call->inbound;
    message_unref(&in->partial);
    account_discharge(call, in->charged);
    in->charged = 0;
}

/* The partial message is whole, its prefix written. */
static void partial_done(struct rpc_call *call) {
    struct inbound *in = &call->inbound;
    struct message *message = in->partial;
    struct range *range = range_append(call, message->prefix, MESSAGE_PREFIX + (size_t)message->length);
    range->owner = message;
    range->owed = in->owed;
    range->charged = in->charged;
    in->partial = NULL;
    in->have = in->owed = 0;
    in->charged = 0;
    count_whole(in, 1);
}

/* Payload bytes for the message; the prefix is whole. Takes at most what the message lacks. */
static size_t partial_add(struct rpc_call *call, const uint8_t *bytes, size_t available) {
    struct inbound *in = &call->inbound;
    uint64_t length = payload_length(in->prefix), have = in->have - MESSAGE_PREFIX;
    size_t step = available < length - have ? available : (size_t)(length - have);
    if (!in->partial) widen_window(call, length);
    struct message *message = partial_grow(call, have, have + step, length);
    if (step) memcpy(message->data + have, bytes, step);
    message->length = (uint32_t)(have + step);
    partial_received(call, step);
    if (have + step < length) return step;

    memcpy(message->prefix, in->prefix, MESSAGE_PREFIX);
    partial_done(call);
    return step;
}

static size_t partial_continue(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    struct inbound *in = &call->inbound;
    size_t used = 0;
    if (in->have < MESSAGE_PREFIX) {
        size_t lacking = MESSAGE_PREFIX - in->have;
        used = length < lacking ? length : lacking;
        memcpy(in->prefix + in->have, bytes, used);
        partial_received(call, used);
        if (in->have < MESSAGE_PREFIX || !prefix_is_fine(call, in->prefix)) return used;
    }
    return used + partial_add(call, bytes + used, length - used);
}

/* ---- slabs: copies of what lay in the read buffer ---- */

/* The accounts count what the slab occupies. */
static void charge_slab(struct rpc_call *call, struct range *range) {
    uint64_t grown = range->slab.capacity - range->charged;
    range->charged += grown;
    account_charge(call, grown);
}

static void spill_range(struct rpc_call *call, struct range *range) {
    range->slab.capacity = range->left;
    range->slab.data = memory_resize(NULL, range->left);
    buffer_append(&range->slab, range->bytes, range->left);
    range->bytes = range->slab.data;
    charge_slab(call, range);
}

static void slab_append(struct rpc_call *call, struct range *slab, const uint8_t *bytes, uint32_t length) {
    size_t begin = (size_t)(slab->bytes - slab->slab.data);
    if (begin > slab->left) { /* a handler that is never done with all of it would let it grow */
        memmove(slab->slab.data, slab->bytes, slab->left);
        slab->slab.end = slab->left;
        begin = 0;
    }
    buffer_append(&slab->slab, bytes, length);
    slab->bytes = slab->slab.data + begin;
    slab->left += length;
    charge_slab(call, slab);
}

/* Appends a range of the read buffer to the slab before it, and frees it. */
static void spill_behind(struct rpc_call *call, struct range *slab, struct range *range) {
    slab_append(call, slab, range->bytes, range->left);
    slab->owed += range->owed;
    slab->next = range->next;
    if (call->inbound.last == range) call->inbound.last = slab;
    pool_give(&call->call.rpc->ranges, range);
}

/* What will have to be copied anyway is copied while the caches have it, and needs no ranges of its own. */
static void receive_kept(struct rpc_call *call, const uint8_t *bytes, size_t length, uint32_t owed) {
    struct range *last = call->inbound.last;
    if (last && last->slab.data) {
        slab_append(call, last, bytes, (uint32_t)length);
        last->owed += owed;
    } else {
        last = range_append(call, bytes, length);
        spill_range(call, last);
        last->owed = owed;
    }
}

/* ---- receiving ---- */

/* Whole messages at the front of `bytes` become a range where they lie. */
static size_t receive_in_place(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    struct inbound *in = &call->inbound;
    size_t whole = 0;
    uint32_t messages = 0;
    while (length - whole >= MESSAGE_PREFIX) {
        if (bytes[whole] || payload_length(bytes + whole) > call->most_message)
            if (!prefix_is_fine(call, bytes + whole)) break;
        size_t framed = MESSAGE_PREFIX + (size_t)payload_length(bytes + whole);
        if (length - whole < framed) break;
        whole += framed;
        messages++;
    }
    if (!messages) return 0;
    if (in->whole >= MOST_IN_PLACE || in->is_late) {
        receive_kept(call, bytes, whole, (uint32_t)whole);
    } else {
        range_append(call, bytes, whole);
        in->is_in_place = true;
    }
    count_whole(in, messages);
    return whole;
}

void inbound_receive(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    struct inbound *in = &call->inbound;
    if (in->is_faulty || in->is_ended || !length) return;
    size_t used = 0;
    if (in->have) used = partial_continue(call, bytes, length);
    if (in->is_faulty || in->have) return;
    used += receive_in_place(call, bytes + used, length - used);
    if (in->is_faulty || used == length) return;
    partial_continue(call, bytes + used, length - used);
}

void inbound_end(struct rpc_call *call) {
    struct inbound *in = &call->inbound;
    if (in->is_ended) return;
    in->is_ended = true;
    if (in->is_faulty || !in->have) return;
    in->is_faulty = true;
    call_fault(call, call->dialect->malformed, REASON_CLIENT, "the stream ended inside of a message");
}

/* ---- messages without a prefix ---- */

static bool refuse_larger(struct rpc_call *call, uint64_t length) {
    if (length <= call->most_message) return false;
    call->inbound.is_faulty = true;
    counter_add(&call->call.rpc->counters.limited, 1);
    call_fault(call, STATUS_RESOURCE_EXHAUSTED, REASON_LIMIT, "received message larger than max (%llu vs. %u)",
               (unsigned long long)length, call->most_message);
    return true;
}

/* `have` counts a prefix that nothing has come for, as everywhere. */
void inbound_receive_whole(struct rpc_call *call, const uint8_t *bytes, size_t length) {
    struct inbound *in = &call->inbound;
    if (in->is_faulty || in->is_ended || !length) return;
    if (!in->have) in->have = MESSAGE_PREFIX;
    uint64_t have = in->have - MESSAGE_PREFIX;
    if (refuse_larger(call, have + length)) return;
    struct message *message = partial_grow(call, have, have + length, call->most_message);
    memcpy(message->data + have, bytes, length);
    message->length = (uint32_t)(have + length);
    partial_received(call, length);
}

/* A small one behind others: memory of its own would be many times its bytes. That which it was put together in is there
 * for the next. */
static void partial_keep(struct rpc_call *call) {
    struct inbound *in = &call->inbound;
    struct message *message = in->partial;
    receive_kept(call, message->prefix, MESSAGE_PREFIX + (size_t)message->length, in->owed);
    message->length = in->have = in->owed = 0;
    count_whole(in, 1);
}

void inbound_end_message(struct rpc_call *call, bool is_compressed) {
    struct inbound *in = &call->inbound;
    if (in->is_faulty) return;
    if (!in->partial) in->partial = message_new(0);
    message_set_prefix(in->partial, is_compressed);
    if (in->whole && in->partial->length <= FIRST_GROWTH) {
        partial_keep(call);
        return;
    }
    account_charge(call, sizeof(struct message) + sizeof(struct range));
    in->charged += sizeof(struct message) + sizeof(struct range);
    partial_done(call);
}

void inbound_end_whole(struct rpc_call *call) {
    struct inbound *in = &call->inbound;
    if (in->is_ended) return;
    in->is_ended = true;
    inbound_end_message(call, call->encoding != ENCODING_IDENTITY && in->partial && in->partial->length);
}

void inbound_put(struct rpc_call *call, struct message *message, bool is_compressed, uint32_t owed) {
    struct inbound *in = &call->inbound;
    if (in->is_faulty || in->is_ended || refuse_larger(call, message->length)) {
        message_unref(&message);
        return;
    }
    message_set_prefix(message, is_compressed);
    struct range *range = range_append(call, message->prefix, MESSAGE_PREFIX + (size_t)message->length);
    range->owner = message;
    range->owed = owed;
    range->charged = message->capacity;
    account_charge(call, range->charged);
    count_whole(in, 1);
}

/* ---- taking ---- */

static void read_frame(const struct range *range, struct framed *framed) {
    framed->is_compressed = range->bytes[0] == 1;
    framed->length = payload_length(range->bytes);
    framed->data = range->bytes + MESSAGE_PREFIX;
    framed->owner = range->owner;
}

bool inbound_peek(const struct rpc_call *call, struct framed *framed) {
    if (!call->inbound.first) return false;
    read_frame(call->inbound.first, framed);
    return true;
}

/* The first range is used up: gone, or kept while the handler may look at it. */
static void range_finish(struct rpc_call *call) {
    struct inbound *in = &call->inbound;
    struct range *range = in->first;
    in->first = range->next;
    if (!in->first) {
        in->last = NULL;
        in->is_in_place = false;
        if (!in->have) partial_drop(call);
    }
    range->next = NULL;
    account_discharge(call, range->charged);
    range->charged = 0;
    if (range->owner || range->slab.data)
        in->taken = range;
    else
        pool_give(&call->call.rpc->ranges, range);
}

/* Its last message gives back what is left; the window of some may have been given before they were whole. */
static uint32_t owed_for(struct range *range, uint32_t bytes) {
    uint32_t owed = range->left == bytes || range->owed < bytes ? range->owed : bytes;
    range->owed -= owed;
    return owed;
}

static void give_owed(struct rpc_call *call) {
    uint32_t owed = call->inbound.owed;
    call->inbound.owed = 0;
    if (owed) call_give_window(call, owed);
}

bool inbound_take(struct rpc_call *call, struct framed *framed) {
    struct inbound *in = &call->inbound;
    struct range *range = in->first;
    if (in->taken) inbound_release(call);
    if (!range) return false;
    read_frame(range, framed);
    uint32_t bytes = MESSAGE_PREFIX + (uint32_t)framed->length;
    call_give_window(call, owed_for(range, bytes));
    range->bytes += bytes;
    range->left -= bytes;
    in->whole--;
    if (range->charged) call->progress = loop_now(call->call.rpc->loop);
    if (!range->left) range_finish(call);
    if (in->owed && may_give_window(call)) give_owed(call);
    return true;
}

void inbound_release(struct rpc_call *call) {
    struct range *taken = call->inbound.taken;
    if (!taken) return;
    call->inbound.taken = NULL;
    range_free(call, taken);
}

void inbound_lend(struct rpc_call *call, struct message *message) {
    inbound_release(call);
    struct range *range = pool_take(&call->call.rpc->ranges);
    range->owner = message;
    call->inbound.taken = range;
}

void inbound_replace(struct rpc_call *call, struct message *message) {
    struct inbound *in = &call->inbound;
    assert(in->first && in->first == in->last && in->whole == 1);
    struct range *old = in->first;
    uint32_t owed = old->owed;
    in->first = in->last = NULL;
    in->is_in_place = false;
    range_free(call, old);
    struct range *range = range_append(call, message->prefix, MESSAGE_PREFIX + (size_t)message->length);
    range->owner = message;
    range->owed = owed;
    range->charged = message->capacity;
    account_charge(call, range->charged);
}

/* ---- keeping what is not taken in this turn ---- */

void inbound_spill(struct rpc_call *call) {
    struct inbound *in = &call->inbound;
    if (!in->is_in_place) return;
    in->is_in_place = false;
    call->progress = loop_now(call->call.rpc->loop);
    for (struct range *range = in->first, *slab = NULL; range;) {
        struct range *next = range->next;
        if (range->owner) {
            slab = NULL;
        } else if (range->slab.data) {
            slab = range;
        } else if (slab) {
            spill_behind(call, slab, range);
        } else {
            spill_range(call, range);
            slab = range;
        }
        range = next;
    }
}

void inbound_resume(struct rpc_call *call) {
    if (call->inbound.owed && may_give_window(call)) give_owed(call);
}

void inbound_drop(struct rpc_call *call) {
    struct inbound *in = &call->inbound;
    while (in->first) {
        struct range *range = in->first;
        in->first = range->next;
        range_free(call, range);
    }
    partial_drop(call);
    *in = (struct inbound){.taken = in->taken,
                           .is_ended = in->is_ended,
                           .is_faulty = true,
                           .received = in->received,
                           .is_late = in->is_late};
}
