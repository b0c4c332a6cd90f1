#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "net_kit.h"

enum { MOST = 256 };
static struct loop *loop;
static struct error error;
static int accepted[MOST], accepted_count, expected_count, headers_expected;

static void on_accept(void *context, struct listener *listener, int fd, bool expects_proxy_header) {
    (void)listener;
    CHECK(context == &loop);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    accepted[accepted_count++] = fd;
    headers_expected += expects_proxy_header;
    if (accepted_count >= expected_count) loop_stop(loop);
}

static struct listener *open_listener(const struct listener_options *options) {
    struct listener *listener = listener_open(loop, options, on_accept, &loop, &error);
    if (!listener) fprintf(stderr, "%s\n", error.text);
    CHECK(listener != NULL);
    return listener;
}

static void begin(void) {
    loop = loop_new();
    accepted_count = headers_expected = 0;
    error.text[0] = '\0';
}

static void run_until_accepted(int count) {
    expected_count = count;
    if (accepted_count < count) kit_run(loop);
    CHECK_INT(accepted_count, count);
}

static void finish(void) {
    while (accepted_count) close(accepted[--accepted_count]);
    loop_free(&loop);
}

static unsigned port_of(const struct listener *listener) {
    return (unsigned)atoi(strrchr(listener_address(listener), ':') + 1);
}

/* A connected socket, or -1. */
static int call_v4(unsigned port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static int call_v6(unsigned port) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    address.sin6_port = htons((uint16_t)port);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static int call_path(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static bool has_v6(void) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0) close(fd);
    return has;
}

static int option_of(int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    CHECK(getsockopt(fd, level, name, &value, &length) == 0);
    return value;
}

/* TCP */

static void port_0_gets_a_port_that_is_told_and_answers(void) {
    begin();
    struct listener *listener = open_listener(&(struct listener_options){.host = "127.0.0.1", .port = "0"});
    CHECK(strncmp(listener_address(listener), "127.0.0.1:", 10) == 0);
    CHECK(port_of(listener) > 0);
    int fd = call_v4(port_of(listener));
    CHECK(fd >= 0);
    run_until_accepted(1);
    CHECK(option_of(accepted[0], IPPROTO_TCP, TCP_NODELAY));
    CHECK(option_of(accepted[0], SOL_SOCKET, SO_KEEPALIVE));
    CHECK_INT(headers_expected, 0);
    close(fd);
    listener_close(&listener);
    finish();
}

static void every_address_is_both_families_on_one_port(void) {
    begin();
    struct listener *listener = open_listener(&(struct listener_options){.host = "*", .port = "0"});
    int v4 = call_v4(port_of(listener)), v6 = has_v6() ? call_v6(port_of(listener)) : -1;
    CHECK(v4 >= 0);
    CHECK(v6 >= 0 || !has_v6());
    run_until_accepted(v6 >= 0 ? 2 : 1);
    close(v4);
    if (v6 >= 0) close(v6);
    listener_close(&listener);
    finish();
}

static void both_families_can_be_listened_on_apart_on_one_port(void) {
    if (!has_v6()) return;
    begin();
    char port[8];
    struct listener *v6 = open_listener(&(struct listener_options){.host = "[::]", .port = "0"});
    CHECK(strncmp(listener_address(v6), "[::]:", 5) == 0);
    CHECK_INT(call_v4(port_of(v6)), -1);
    snprintf(port, sizeof port, "%u", port_of(v6));
    struct listener *v4 = open_listener(&(struct listener_options){.host = "0.0.0.0", .port = port});
    int fd = call_v4(port_of(v4));
    CHECK(fd >= 0);
    run_until_accepted(1);
    close(fd);
    listener_close(&v4);
    listener_close(&v6);
    finish();
}

static void a_port_that_is_taken_or_no_port_is_an_error_that_names_it(void) {
    begin();
    char port[8];
    struct listener *listener = open_listener(&(struct listener_options){.host = "127.0.0.1", .port = "0"});
    struct listener_options options = {.host = "127.0.0.1", .port = port};
    snprintf(port, sizeof port, "%u", port_of(listener));
    CHECK(listener_open(loop, &options, on_accept, &loop, &error) == NULL);
    CHECK(strstr(error.text, listener_address(listener)) && strstr(error.text, "in use"));
    static const char *const bad[] = {"", "65536", "-1", "http", "80 ", "123456"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        options.port = bad[i];
        CHECK(listener_open(loop, &options, on_accept, &loop, &error) == NULL);
    }
    options = (struct listener_options){.host = "no such host", .port = "0"};
    CHECK(listener_open(loop, &options, on_accept, &loop, &error) == NULL);
    CHECK(strstr(error.text, "no such host"));
    options = (struct listener_options){
        .host = "127.0.0.1", .port = "0", .proxy_from = (char *[]){(char[]){"10/8"}, NULL}};
    CHECK(listener_open(loop, &options, on_accept, &loop, &error) == NULL);
    CHECK(strstr(error.text, "10/8"));
    listener_close(&listener);
    finish();
}

static void stop(struct timer *timer) {
    (void)timer;
    loop_stop(loop);
}

static void a_paused_listener_leaves_them_in_the_backlog(void) {
    begin();
    struct timer timer;
    struct listener *listener = open_listener(&(struct listener_options){.host = "127.0.0.1", .port = "0"});
    listener_pause(listener);
    int fd = call_v4(port_of(listener));
    CHECK(fd >= 0);
    timer_init(&timer, stop);
    timer_start(loop, &timer, clock_monotonic() + 10 * NS_PER_MS);
    kit_run(loop);
    CHECK_INT(accepted_count, 0);
    listener_resume(listener);
    run_until_accepted(1);
    close(fd);
    listener_close(&listener);
    finish();
}

static struct listener *closing;
static void close_listener(void *context, struct listener *listener, int fd, bool expects_proxy_header) {
    (void)context, (void)expects_proxy_header;
    CHECK(listener == closing);
    close(fd);
    accepted_count++;
    listener_close(&closing);
    loop_stop(loop);
}

static void it_may_be_closed_while_it_accepts(void) {
    begin();
    struct listener_options options = {.host = "127.0.0.1", .port = "0"};
    closing = listener_open(loop, &options, close_listener, NULL, &error);
    unsigned port = port_of(closing);
    int first = call_v4(port), second = call_v4(port);
    kit_run(loop);
    CHECK_INT(accepted_count, 1);
    CHECK_INT(call_v4(port), -1);
    close(first);
    close(second);
    accepted_count = 0;
    finish();
}

static void only_listed_networks_are_expected_to_send_a_proxy_header(void) {
    begin();
    char *local[] = {(char[]){"10.0.0.0/8"}, (char[]){"127.0.0.0/8"}, NULL};
    char *other[] = {(char[]){"10.0.0.0/8"}, (char[]){"unix"}, NULL};
    struct listener *inside =
        open_listener(&(struct listener_options){.host = "127.0.0.1", .port = "0", .proxy_from = local});
    struct listener *outside =
        open_listener(&(struct listener_options){.host = "127.0.0.1", .port = "0", .proxy_from = other});
    int fd = call_v4(port_of(outside));
    run_until_accepted(1);
    CHECK_INT(headers_expected, 0);
    close(fd);
    fd = call_v4(port_of(inside));
    run_until_accepted(2);
    CHECK_INT(headers_expected, 1);
    close(fd);
    listener_close(&inside);
    listener_close(&outside);
    finish();
}

/* Descriptors run out: all are taken but the ones that the clients need. */
static void without_descriptors_one_is_turned_away_and_the_rest_come_later(void) {
    begin();
    struct rlimit before, low;
    int clients[3], filler[MOST], fillers = 0;
    struct listener *listener = open_listener(&(struct listener_options){.host = "127.0.0.1", .port = "0"});
    for (int i = 0; i < 3; i++) CHECK((clients[i] = call_v4(port_of(listener))) >= 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    low = before;
    low.rlim_cur = 64;
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    while ((filler[fillers] = dup(clients[0])) >= 0) fillers++;
    CHECK_INT(errno, EMFILE);

    struct timer timer;
    uint64_t start = clock_monotonic();
    timer_init(&timer, stop);
    timer_start(loop, &timer, start + 20 * NS_PER_MS);
    kit_run(loop);
    CHECK_INT(accepted_count, 0);
    char byte;
    CHECK_INT(recv(clients[0], &byte, 1, 0), 0); /* turned away */
    CHECK_INT(recv(clients[1], &byte, 1, MSG_DONTWAIT), -1);
    CHECK_INT(errno, EAGAIN);

    while (fillers) close(filler[--fillers]);
    setrlimit(RLIMIT_NOFILE, &before);
    run_until_accepted(2);
    CHECK(clock_monotonic() - start >= 100 * NS_PER_MS); /* it did not spin meanwhile */
    for (int i = 0; i < 3; i++) close(clients[i]);
    listener_close(&listener);
    finish();
}

/* Unix sockets */

static char directory[] = "/tmp/tidewire-listener-XXXXXX";
static char path[sizeof directory + 8];

static mode_t mode_of(const char *file) {
    struct stat status;
    return stat(file, &status) == 0 ? status.st_mode & 07777 : 0;
}

static void a_unix_socket_has_its_mode_and_goes_with_its_listener(void) {
    begin();
    struct listener_options options = {.path = path, .mode = 0620};
    struct listener *listener = open_listener(&options);
    char expected[sizeof path + 8];
    snprintf(expected, sizeof expected, "unix:%s", path);
    CHECK_STR(listener_address(listener), expected);
    CHECK_INT(mode_of(path), 0620);
    int fd = call_path(path);
    CHECK(fd >= 0);
    run_until_accepted(1);
    CHECK_INT(headers_expected, 0);
    close(fd);
    listener_close(&listener);
    CHECK(access(path, F_OK) < 0);

    options.proxy_from = (char *[]){(char[]){"unix"}, NULL};
    listener = open_listener(&options);
    fd = call_path(path);
    run_until_accepted(2);
    CHECK_INT(headers_expected, 1);
    close(fd);
    listener_close(&listener);
    finish();
}

/* Binds and forgets: the file stays, and nobody listens. */
static void leave_stale_socket(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    close(fd);
}

static void a_stale_unix_socket_is_replaced_and_a_live_one_is_not(void) {
    begin();
    struct listener_options options = {.path = path, .mode = 0600};
    leave_stale_socket();
    struct listener *listener = open_listener(&options);
    CHECK(listener_open(loop, &options, on_accept, &loop, &error) == NULL);
    CHECK(strstr(error.text, path) && strstr(error.text, "another process"));
    int fd = call_path(path);
    CHECK(fd >= 0);
    close(fd);
    listener_close(&listener);
    finish();
}

static void what_is_no_socket_is_left_alone(void) {
    begin();
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    struct listener_options options = {.path = path, .mode = 0600};
    CHECK(listener_open(loop, &options, on_accept, &loop, &error) == NULL);
    CHECK(strstr(error.text, "no socket"));
    CHECK(access(path, F_OK) == 0);
    unlink(path);
    char too_long[300];
    memset(too_long, 'x', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    options.path = too_long;
    CHECK(listener_open(loop, &options, on_accept, &loop, &error) == NULL);
    options.path = "/nowhere/at/all";
    CHECK(listener_open(loop, &options, on_accept, &loop, &error) == NULL);
    CHECK(strstr(error.text, "/nowhere/at/all: No such file"));
    finish();
}

static void a_socket_that_somebody_else_put_in_its_place_is_not_removed(void) {
    begin();
    struct listener *listener = open_listener(&(struct listener_options){.path = path, .mode = 0600});
    char moved[sizeof path + 8];
    snprintf(moved, sizeof moved, "%s.old", path);
    CHECK(rename(path, moved) == 0); /* keeps its inode from being used again */
    leave_stale_socket();
    listener_close(&listener);
    CHECK(access(path, F_OK) == 0);
    unlink(path);
    unlink(moved);
    finish();
}

static void the_process_may_open_as_many_files_as_it_can(void) {
    struct rlimit files;
    net_prepare_process();
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    CHECK(files.rlim_cur == files.rlim_max);
    CHECK(strncmp(net_versions(), "libevent 2.", 11) == 0);
    CHECK(strstr(net_versions(), "OpenSSL 3."));
}

int main(void) {
    CHECK(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/socket", directory);
    RUN(port_0_gets_a_port_that_is_told_and_answers);
    RUN(every_address_is_both_families_on_one_port);
    RUN(both_families_can_be_listened_on_apart_on_one_port);
    RUN(a_port_that_is_taken_or_no_port_is_an_error_that_names_it);
    RUN(a_paused_listener_leaves_them_in_the_backlog);
    RUN(it_may_be_closed_while_it_accepts);
    RUN(only_listed_networks_are_expected_to_send_a_proxy_header);
    RUN(without_descriptors_one_is_turned_away_and_the_rest_come_later);
    RUN(a_unix_socket_has_its_mode_and_goes_with_its_listener);
    RUN(a_stale_unix_socket_is_replaced_and_a_live_one_is_not);
    RUN(what_is_no_socket_is_left_alone);
    RUN(a_socket_that_somebody_else_put_in_its_place_is_not_removed);
    RUN(the_process_may_open_as_many_files_as_it_can);
    rmdir(directory);
    return 0;
}
