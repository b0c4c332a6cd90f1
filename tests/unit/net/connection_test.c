#include "net/connection.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>

#include "base/memory.h"
#include "connection_kit.h"

static const struct connection_options plain = {0};
static struct loop *loop;

static void ready_comes_from_the_loop_and_bytes_go_both_ways(void) {
    loop = loop_new();
    int fds[2];
    char text[16];
    struct end end = {0};
    make_pair(fds);
    end_accept(&end, loop, fds[0], &plain);
    CHECK_INT(end.ready, 0);
    CHECK(write(fds[1], "question", 8) == 8);
    end.stops = end_has_bytes;
    kit_run(loop);
    CHECK_INT(end.ready, 1);
    CHECK_MEM(buffer_bytes(&end.got), buffer_length(&end.got), "question", 8);
    struct iovec pieces[] = {{(void *)(uintptr_t) "an", 2}, {NULL, 0}, {(void *)(uintptr_t) "swer", 4}};
    CHECK_INT(connection_write(end.connection, pieces, 3), 0);
    CHECK_INT(read(fds[1], text, sizeof text), 6);
    CHECK_MEM(text, 6, "answer", 6);
    CHECK_STR(connection_peer(end.connection), "unix:");
    CHECK(connection_tls(end.connection) == NULL);
    end_free(&end);
    loop_free(&loop);
    close(fds[1]);
}

/* Two ends in one loop, and a flood from one to the other. */

enum { FLOOD = 3 * 1024 * 1024 };
static uint8_t flood[FLOOD];
static struct end writer, reader;

static void fill_flood(void) {
    uint32_t random = 1;
    for (int i = 0; i < FLOOD; i++) flood[i] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
}

static void begin_pair(void) {
    int fds[2];
    loop = loop_new();
    make_pair(fds);
    writer = reader = (struct end){0};
    end_accept(&writer, loop, fds[0], &plain);
    end_accept(&reader, loop, fds[1], &plain);
    end_run_until_ready(&writer);
    end_run_until_ready(&reader);
}

static void finish_pair(void) {
    end_free(&writer);
    end_free(&reader);
    loop_free(&loop);
}

static size_t write_flood(void) {
    struct iovec pieces[] = {{flood, 100}, {flood + 100, FLOOD - 1100}, {flood + FLOOD - 1000, 1000}};
    return connection_write(writer.connection, pieces, 3);
}

static bool has_flood(struct end *end) { return buffer_length(&end->got) >= FLOOD && writer.drained; }
static bool has_drained(struct end *end) { return end->drained && buffer_length(&reader.got) >= FLOOD; }

static void what_a_slow_reader_leaves_is_kept_and_told_when_drained(void) {
    begin_pair();
    connection_pause(reader.connection);
    size_t kept = write_flood();
    CHECK(kept > 0 && kept < FLOOD);
    CHECK_INT(connection_kept(writer.connection), kept);
    CHECK_INT(writer.drained, 0);
    connection_resume(reader.connection);
    reader.stops = has_flood;
    writer.stops = has_drained;
    kit_run(loop);
    CHECK_INT(writer.drained, 1);
    CHECK_INT(connection_kept(writer.connection), 0);
    CHECK_MEM(buffer_bytes(&reader.got), buffer_length(&reader.got), flood, FLOOD);
    finish_pair();
}

static void thousands_of_pieces_leave_in_order(void) {
    begin_pair();
    static struct iovec pieces[5000];
    for (int i = 0; i < 5000; i++) pieces[i] = (struct iovec){flood + i * 7, 7};
    size_t kept = connection_write(writer.connection, pieces, 5000);
    reader.stops = end_has_bytes;
    while (buffer_length(&reader.got) < 35000) kit_run(loop);
    CHECK_MEM(buffer_bytes(&reader.got), buffer_length(&reader.got), flood, 35000);
    CHECK(kept == 0 || writer.drained);
    finish_pair();
}

static void pause_reader(struct end *end) { connection_pause(end->connection); }
static void stop_late(struct timer *timer) {
    (void)timer;
    loop_stop(loop);
}

static void no_bytes_come_while_paused_even_from_within_on_bytes(void) {
    begin_pair();
    struct timer timer;
    reader.act = pause_reader;
    timer_init(&timer, stop_late);
    write_flood();
    timer_start(loop, &timer, clock_monotonic() + 20 * NS_PER_MS);
    kit_run(loop);
    CHECK_INT(reader.calls, 1);
    connection_resume(reader.connection);
    reader.stops = end_has_bytes;
    kit_run(loop);
    CHECK_INT(reader.calls, 2);
    finish_pair();
}

static void free_end(struct end *end) { connection_free(&end->connection); }

static void the_owner_may_free_it_in_any_callback(void) {
    begin_pair();
    reader.act = free_end;
    write_flood();
    end_run_until_ended(&writer);
    CHECK_INT(reader.calls, 1);
    CHECK_INT(reader.ended, 0);
    finish_pair();

    int fds[2];
    loop = loop_new();
    make_pair(fds);
    struct end end = {.act = free_end, .acts_when_ready = true};
    end_accept(&end, loop, fds[0], &plain);
    CHECK(write(fds[1], "x", 1) == 1);
    end_run_until_ready(&end);
    CHECK(end.connection == NULL);
    CHECK_INT(end.calls, 0);
    end_free(&end);
    loop_free(&loop);
    close(fds[1]);
}

static void a_connection_that_is_freed_before_the_loop_runs_says_nothing(void) {
    int fds[2];
    loop = loop_new();
    make_pair(fds);
    struct end end = {0};
    end_accept(&end, loop, fds[0], &plain);
    end_free(&end);
    loop_free(&loop);
    CHECK_INT(end.ready + end.ended, 0);
    close(fds[1]);
}

static void the_last_bytes_come_before_the_end(void) {
    begin_pair();
    write_flood();
    connection_shutdown(writer.connection);
    CHECK_INT(writer.ended, 0);
    end_run_until_ended(&reader);
    CHECK_STR(reader.reason, "closed by the peer");
    CHECK_MEM(buffer_bytes(&reader.got), buffer_length(&reader.got), flood, FLOOD);
    CHECK_INT(writer.drained, 0);
    free_end(&reader);
    end_run_until_ended(&writer);
    finish_pair();
}

static void shutdown_throws_away_what_the_peer_still_sends_and_waits_a_second_at_most(void) {
    begin_pair();
    uint64_t start = clock_monotonic();
    connection_shutdown(writer.connection);
    end_write(&reader, "too late");
    end_run_until_ended(&writer); /* the reader never closes */
    uint64_t took = clock_monotonic() - start;
    CHECK_INT(writer.calls, 0);
    CHECK(took >= NS_PER_S && took < 5 * NS_PER_S);
    CHECK_INT(end_write(&writer, "x"), 0);
    finish_pair();
}

static void a_write_to_a_peer_that_is_gone_ends_it_later_and_without_a_signal(void) {
    signal(SIGPIPE, SIG_DFL);
    begin_pair();
    connection_pause(writer.connection);
    free_end(&reader);
    end_write(&writer, "x");
    CHECK_INT(writer.ended, 0);
    CHECK_INT(connection_kept(writer.connection), 0);
    end_run_until_ended(&writer);
    CHECK(strncmp(writer.reason, "writing: ", 9) == 0);
    finish_pair();
}

static int feeding_fd;
static void feed(struct end *end) {
    CHECK(end->calls < 1000);
    CHECK(write(feeding_fd, flood, 128 * 1024) > 0);
}

static void one_whose_bytes_never_end_does_not_keep_the_loop(void) {
    loop = loop_new();
    int fds[2];
    make_pair(fds);
    feeding_fd = fds[1];
    struct end end = {.act = feed};
    struct timer timer;
    end_accept(&end, loop, fds[0], &plain);
    end_run_until_ready(&end);
    CHECK(write(fds[1], flood, 128 * 1024) > 0);
    timer_init(&timer, stop_late);
    timer_start(loop, &timer, 0);
    kit_run(loop);
    CHECK(end.calls > 0 && end.calls < 100);
    end_free(&end);
    loop_free(&loop);
    close(fds[1]);
}

/* Dialling */

static int listen_somewhere(char *text, size_t size) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &length) == 0);
    snprintf(text, size, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

static void dials_an_address_and_says_both_ends(void) {
    loop = loop_new();
    char text[64];
    struct error error;
    int listener = listen_somewhere(text, sizeof text);
    CHECK(listen(listener, 5) == 0);
    struct end end = {.loop = loop};
    end.connection = connection_dial(loop, text, &plain, &end_events, &end, &error);
    CHECK(end.connection != NULL);
    CHECK_STR(connection_peer(end.connection), text);
    end_run_until_ready(&end);
    int fd = accept(listener, NULL, NULL);
    CHECK_STR(connection_peer(end.connection), text);
    CHECK(strncmp(connection_local(end.connection), "127.0.0.1:", 10) == 0);
    CHECK(write(fd, "hello", 5) == 5);
    end.stops = end_has_bytes;
    kit_run(loop);
    close(fd);
    end_run_until_ended(&end);
    end_free(&end);
    close(listener);
    loop_free(&loop);
}

static int option_of(int fd, int option) {
    int value = -1;
    socklen_t length = sizeof value;
    CHECK(getsockopt(fd, IPPROTO_TCP, option, &value, &length) == 0);
    return value;
}

static void probes_come_after_the_interval_and_for_the_timeout(void) {
    loop = loop_new();
    char text[64];
    struct error error;
    int listener = listen_somewhere(text, sizeof text);
    CHECK(listen(listener, 5) == 0);
    struct end client = {.loop = loop}, server = {.loop = loop};
    client.connection = connection_dial(loop, text, &plain, &end_events, &client, &error);
    end_run_until_ready(&client);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    server.connection = connection_accepted(loop, fd, &plain, &end_events, &server);
    connection_probe(server.connection, 30 * NS_PER_S, 20 * NS_PER_S);
    CHECK_INT(option_of(fd, TCP_KEEPIDLE), 30);
    CHECK_INT(option_of(fd, TCP_KEEPINTVL) * option_of(fd, TCP_KEEPCNT), 20);
    connection_probe(server.connection, UINT64_MAX, 1); /* as much, and as little, as the kernel can */
    CHECK_INT(option_of(fd, TCP_KEEPIDLE), 32767);
    CHECK_INT(option_of(fd, TCP_KEEPINTVL), 1);
    end_free(&client);
    end_free(&server);
    close(listener);
    loop_free(&loop);
}

static void a_refused_dial_ends_with_the_reason(void) {
    loop = loop_new();
    char text[64], expected[128];
    struct error error;
    int fd = listen_somewhere(text, sizeof text); /* bound, but not listening */
    struct end end = {.loop = loop};
    end.connection = connection_dial(loop, text, &plain, &end_events, &end, &error);
    end_run_until_ended(&end);
    snprintf(expected, sizeof expected, "cannot connect to %s: Connection refused", text);
    CHECK_STR(end.reason, expected);
    CHECK_INT(end.ready, 0);
    end_free(&end);
    end.connection = connection_dial(loop, "unix:/nowhere/at/all", &plain, &end_events, &end, &error);
    end.ended = 0;
    end_run_until_ended(&end);
    CHECK_STR(end.reason, "cannot connect to unix:/nowhere/at/all: No such file or directory");
    end_free(&end);
    end.connection = connection_dial(loop, text, &plain, &end_events, &end, &error);
    end_free(&end);
    loop_free(&loop);
    close(fd);
}

static void an_address_that_makes_no_sense_is_an_error(void) {
    loop = loop_new();
    struct end end = {0};
    static const char *const bad[] = {
        "", ":", "host", ":80", "host:", "::1:80", "[]:80", "unix:", "127.0.0.1:notaport"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {0};
        CHECK(connection_dial(loop, bad[i], &plain, &end_events, &end, &error) == NULL);
        CHECK(strlen(error.text) > 10);
    }
    loop_free(&loop);
    CHECK_INT(end.ended, 0);
}

/* PROXY header */

static const struct connection_options proxied = {.reads_proxy_header = true,
                                                  .handshake_timeout = 10 * NS_PER_S};

static void a_proxy_header_in_single_bytes_names_the_client(void) {
    loop = loop_new();
    int fds[2];
    const char *stream = "PROXY TCP6 2001:db8::1 ::1 4711 443\r\nrest";
    make_pair(fds);
    struct end end = {0};
    struct timer timer;
    end_accept(&end, loop, fds[0], &proxied);
    timer_init(&timer, stop_late);
    for (const char *c = stream; *c; c++) {
        CHECK(write(fds[1], c, 1) == 1);
        timer_start(loop, &timer, 0);
        kit_run(loop);
        CHECK_INT(end.ready, c - stream >= (long)strlen(stream) - 5);
    }
    end.stops = end_has_bytes;
    CHECK_MEM(buffer_bytes(&end.got), buffer_length(&end.got), "rest", 4);
    CHECK_STR(connection_peer(end.connection), "[2001:db8::1]:4711");
    CHECK_STR(connection_local(end.connection), "[::1]:443");
    end_free(&end);
    loop_free(&loop);
    close(fds[1]);
}

static void a_proxy_header_and_bytes_in_one_read_are_parted(void) {
    loop = loop_new();
    int fds[2];
    make_pair(fds);
    struct end end = {.stops = end_has_bytes};
    CHECK(write(fds[1], "PROXY UNKNOWN\r\nrest", 19) == 19);
    end_accept(&end, loop, fds[0], &proxied);
    kit_run(loop);
    CHECK_MEM(buffer_bytes(&end.got), buffer_length(&end.got), "rest", 4);
    CHECK_STR(connection_peer(end.connection), "unix:");
    end_free(&end);
    loop_free(&loop);
    close(fds[1]);
}

static void a_missing_or_late_proxy_header_ends_it_unready(void) {
    loop = loop_new();
    int fds[2];
    make_pair(fds);
    struct end end = {0};
    CHECK(write(fds[1], "PRI * HTTP/2.0", 14) == 14);
    end_accept(&end, loop, fds[0], &proxied);
    end_run_until_ended(&end);
    CHECK_STR(end.reason, "no PROXY header");
    CHECK_INT(end.ready, 0);
    end_free(&end);
    close(fds[1]);

    struct connection_options hasty = proxied;
    hasty.handshake_timeout = 5 * NS_PER_MS;
    end = (struct end){0};
    make_pair(fds);
    CHECK(write(fds[1], "PROXY TCP4", 10) == 10);
    end_accept(&end, loop, fds[0], &hasty);
    end_run_until_ended(&end);
    CHECK_STR(end.reason, "no PROXY header in time");
    CHECK_INT(end.ready, 0);
    end_free(&end);
    close(fds[1]);
    loop_free(&loop);
}

/* Memory */

static void an_idle_connection_costs_well_under_a_kilobyte(void) {
#ifndef TIDEWIRE_SANITIZED
    enum { COUNT = 400 };
    static struct end ends[COUNT];
    int others[COUNT], fds[2];
    loop = loop_new();
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < COUNT; i++) {
        make_pair(fds);
        ends[i] = (struct end){0};
        end_accept(&ends[i], loop, fds[0], &plain);
        end_run_until_ready(&ends[i]);
        CHECK(write(others[i] = fds[1], "x", 1) == 1);
        ends[i].stops = end_has_bytes;
        kit_run(loop);
        buffer_free(&ends[i].got);
    }
    size_t each = (mallinfo2().uordblks - before) / COUNT;
    fprintf(stderr, "  %zu bytes\n", each);
    CHECK(each < 800);
    for (int i = 0; i < COUNT; i++) {
        end_free(&ends[i]);
        close(others[i]);
    }
    loop_free(&loop);
#endif
}

int main(void) {
    fill_flood();
    RUN(ready_comes_from_the_loop_and_bytes_go_both_ways);
    RUN(what_a_slow_reader_leaves_is_kept_and_told_when_drained);
    RUN(thousands_of_pieces_leave_in_order);
    RUN(no_bytes_come_while_paused_even_from_within_on_bytes);
    RUN(the_owner_may_free_it_in_any_callback);
    RUN(a_connection_that_is_freed_before_the_loop_runs_says_nothing);
    RUN(the_last_bytes_come_before_the_end);
    RUN(shutdown_throws_away_what_the_peer_still_sends_and_waits_a_second_at_most);
    RUN(a_write_to_a_peer_that_is_gone_ends_it_later_and_without_a_signal);
    RUN(one_whose_bytes_never_end_does_not_keep_the_loop);
    RUN(dials_an_address_and_says_both_ends);
    RUN(probes_come_after_the_interval_and_for_the_timeout);
    RUN(a_refused_dial_ends_with_the_reason);
    RUN(an_address_that_makes_no_sense_is_an_error);
    RUN(a_proxy_header_in_single_bytes_names_the_client);
    RUN(a_proxy_header_and_bytes_in_one_read_are_parted);
    RUN(a_missing_or_late_proxy_header_ends_it_unready);
    RUN(an_idle_connection_costs_well_under_a_kilobyte);
    return 0;
}
