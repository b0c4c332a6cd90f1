/* A connection that something else than a socket carries: what its carrier is asked, and what its owner is told. */
#include "connection_kit.h"

struct carrier {
    struct buffer written;
    size_t kept;
    int paused, resumed, shut, freed;
};

static size_t carrier_write(void *carried, const struct iovec *pieces, int count) {
    struct carrier *carrier = carried;
    for (int i = 0; i < count; i++) buffer_append(&carrier->written, pieces[i].iov_base, pieces[i].iov_len);
    return carrier->kept;
}
static size_t carrier_kept(const void *carried) { return ((const struct carrier *)carried)->kept; }
static size_t carrier_undelivered(const void *carried) { return ((const struct carrier *)carried)->kept + 1000; }
static void carrier_pause(void *carried) { ((struct carrier *)carried)->paused++; }
static void carrier_resume(void *carried) { ((struct carrier *)carried)->resumed++; }
static void carrier_shutdown(void *carried) { ((struct carrier *)carried)->shut++; }
static void carrier_free(void *carried) { ((struct carrier *)carried)->freed++; }
static const struct tls_info *carrier_tls(const void *carried) { return carried; }

static const struct connection_carrier ops = {carrier_write,  carrier_kept,     carrier_undelivered, carrier_pause,
                                              carrier_resume, carrier_shutdown, carrier_free,        carrier_tls};

static struct loop *loop;
static struct carrier carrier;
static struct end owner;

static void start(void) {
    loop = loop_new();
    carrier = (struct carrier){.kept = 0};
    owner = (struct end){.loop = loop};
    owner.connection = connection_carried(loop, &ops, &carrier, "10.0.0.1:7", "here", &end_events, &owner);
    CHECK_INT(owner.ready, 0);
    CHECK_INT(carrier.resumed, 0);
    loop_turn(loop);
    CHECK_INT(owner.ready, 1);
    CHECK_INT(carrier.resumed, 1);
}

static void stop(void) {
    end_free(&owner);
    CHECK_INT(carrier.freed, 1);
    loop_turn(loop);
    CHECK_INT(carrier.freed, 1);
    buffer_free(&carrier.written);
    loop_free(&loop);
}

static void bytes_go_by_the_carrier(void) {
    start();
    CHECK_INT(end_write(&owner, "hello"), 0);
    CHECK_MEM(buffer_bytes(&carrier.written), buffer_length(&carrier.written), "hello", 5);
    carrier.kept = 17;
    CHECK_INT(end_write(&owner, "!"), 17);
    CHECK_INT(connection_kept(owner.connection), 17);
    CHECK_INT(connection_undelivered(owner.connection), 1017);
    carrier.kept = 0;
    connection_carry_drained(owner.connection);
    CHECK_INT(owner.drained, 1);
    connection_carry_bytes(owner.connection, (const uint8_t *)"abc", 3);
    CHECK_MEM(buffer_bytes(&owner.got), buffer_length(&owner.got), "abc", 3);
    CHECK_STR(connection_peer(owner.connection), "10.0.0.1:7");
    CHECK_STR(connection_local(owner.connection), "here");
    CHECK(connection_tls(owner.connection) == (const void *)&carrier);
    stop();
}

static void pausing_is_the_carrier_s(void) {
    start();
    connection_pause(owner.connection);
    CHECK_INT(carrier.paused, 1);
    connection_resume(owner.connection);
    CHECK_INT(carrier.resumed, 2);
    stop();
}

static void the_carrier_s_end_is_told_once_and_last(void) {
    start();
    connection_carry_end(owner.connection, "gone");
    CHECK_INT(owner.ended, 0);
    connection_carry_bytes(owner.connection, (const uint8_t *)"abc", 3);
    connection_carry_drained(owner.connection);
    connection_carry_end(owner.connection, "again");
    end_write(&owner, "late");
    loop_turn(loop);
    CHECK_INT(owner.ended, 1);
    CHECK_STR(owner.reason, "gone");
    CHECK_INT(owner.calls + owner.drained, 0);
    CHECK_INT(buffer_length(&carrier.written), 0);
    stop();
}

static void a_shutdown_waits_for_the_carrier_s_end(void) {
    start();
    connection_pause(owner.connection);
    connection_shutdown(owner.connection);
    CHECK_INT(carrier.shut, 1);
    CHECK_INT(carrier.resumed, 2); /* what still comes is taken, and thrown away */
    connection_carry_bytes(owner.connection, (const uint8_t *)"abc", 3);
    CHECK_INT(owner.calls, 0);
    loop_turn(loop);
    CHECK_INT(owner.ended, 0);
    connection_carry_end(owner.connection, "closed");
    loop_turn(loop);
    CHECK_INT(owner.ended, 1);
    stop();
}

static void one_that_goes_before_it_is_ready_says_nothing(void) {
    loop = loop_new();
    carrier = (struct carrier){.kept = 0};
    owner = (struct end){.loop = loop};
    owner.connection = connection_carried(loop, &ops, &carrier, "", "", &end_events, &owner);
    end_free(&owner);
    loop_turn(loop);
    CHECK_INT(owner.ready + owner.ended, 0);
    CHECK_INT(carrier.freed, 1);
    loop_free(&loop);
}

int main(void) {
    RUN(bytes_go_by_the_carrier);
    RUN(pausing_is_the_carrier_s);
    RUN(the_carrier_s_end_is_told_once_and_last);
    RUN(a_shutdown_waits_for_the_carrier_s_end);
    RUN(one_that_goes_before_it_is_ready_says_nothing);
    return 0;
}
