/* upstream/names.c: names become targets without blocking, and again when they age. The test is the name server. */
#include <arpa/inet.h>

#include "kit.h"

struct dns {
    int fd;
    char address[32];
    const char *answers[8]; /* IPv4 addresses of every name; NULL: there is no such name */
    uint8_t age;            /* seconds */
    size_t asked;
    bool is_silent;
};
static struct dns dns;
static struct server a, b;
static struct asked one;

static void dns_start(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    dns = (struct dns){.age = 60};
    dns.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(bind(dns.fd, (struct sockaddr *)&address, length) == 0);
    CHECK(getsockname(dns.fd, (struct sockaddr *)&address, &length) == 0);
    snprintf(dns.address, sizeof dns.address, "127.0.0.1:%u", ntohs(address.sin_port));
}

/* RFC 1035 section 4: the question again, and an answer that points at its name. Only A records exist. */
static void dns_serve(void) {
    uint8_t packet[1024];
    struct sockaddr_in from;
    socklen_t from_length = sizeof from;
    ssize_t length;
    while ((length = recvfrom(dns.fd, packet, 512, 0, (struct sockaddr *)&from, &from_length)) > 12) {
        size_t end = 12;
        while (packet[end]) end += 1u + packet[end];
        uint8_t type = packet[end + 2];
        end += 5;
        dns.asked += type == 1;
        if (dns.is_silent) continue;
        packet[2] = 0x85, packet[3] = (uint8_t)(0x80 | (dns.answers[0] ? 0 : 3));
        packet[7] = packet[9] = packet[11] = 0;
        for (int i = 0; type == 1 && dns.answers[i]; i++) {
            const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, dns.age, 0, 4};
            memcpy(packet + end, record, sizeof record);
            CHECK(inet_pton(AF_INET, dns.answers[i], packet + end + sizeof record) == 1);
            end += sizeof record + 4;
            packet[7]++;
        }
        sendto(dns.fd, packet, end, 0, (struct sockaddr *)&from, from_length);
    }
}
#define WAIT_WITH_DNS(condition) WAIT_FOR((dns_serve(), (condition)))

static const char *port_of(const struct server *server) { return strrchr(server->address, ':') + 1; }

static size_t targets(void) {
    struct kit_find find = {.skip = 0};
    size_t count = 0;
    for (;; count++) {
        find = (struct kit_find){.skip = count};
        upstream_each_target(upstream_set_find(set, "u"), kit_visit, &find);
        if (!find.is_found) return count;
    }
}

static void start(void) {
    kit_start();
    dns_start();
    server_start(&a, "0", 100);
}
static void stop(void) {
    kit_stop_with(&a);
    close(dns.fd);
}

static void calls_wait_for_the_answer_and_use_all_addresses(void) {
    start();
    kit_host = "127.0.0.2";
    server_start(&b, port_of(&a), 100);
    kit_host = "127.0.0.1";
    dns.answers[0] = "127.0.0.1", dns.answers[1] = "127.0.0.2";
    CONFIGURE("resolver = \"%s\"\nupstream u { target = \"numbers.test:%s\" }", dns.address, port_of(&a));
    CHECK_INT(dns.asked, 0); /* nobody has called yet */
    ask(&one, "u", "x");
    WAIT_WITH_DNS(one.is_closed);
    expect(&one, STATUS_OK);
    CHECK_INT(targets(), 2);
    for (int i = 0; i < 10; i++) ask_and_wait(&one, "u", "x");
    CHECK(a.served >= 4 && b.served >= 4);
    CHECK_INT(dns.asked, 1);
    server_stop(&b);
    stop();
}

static void an_aged_answer_is_asked_for_again_and_addresses_move(void) {
    start();
    kit_host = "127.0.0.2";
    server_start(&b, port_of(&a), 100);
    kit_host = "127.0.0.1";
    dns.answers[0] = "127.0.0.1";
    dns.age = 1;
    CONFIGURE("resolver = \"%s\"\nupstream u { target = \"numbers.test:%s\" }", dns.address, port_of(&a));
    hold(&one, "u");
    WAIT_WITH_DNS(one.has_headers);
    dns.answers[0] = "127.0.0.2";
    struct asked later;
    while (!b.served) {
        ask(&later, "u", "x");
        WAIT_WITH_DNS(later.is_closed);
        expect(&later, STATUS_OK);
    }
    CHECK(!one.is_closed); /* it finishes where it is */
    call_finish(a.held[0], STATUS_OK, NULL, NULL, 0);
    WAIT_WITH_DNS(one.is_closed);
    expect(&one, STATUS_OK);
    WAIT_WITH_DNS(targets() == 1); /* the old address has gone with its last call */
    CHECK(rpc_counters(a.rpc)->connections == 0 || (turn(), true));
    server_stop(&b);
    stop();
}

static void a_failure_keeps_the_old_addresses(void) {
    start();
    dns.answers[0] = "127.0.0.1";
    dns.age = 1;
    CONFIGURE("resolver = \"%s\"\nupstream u { target = \"numbers.test:%s\" }", dns.address, port_of(&a));
    ask(&one, "u", "x");
    WAIT_WITH_DNS(one.is_closed);
    expect(&one, STATUS_OK);
    dns.answers[0] = NULL; /* there is no such name any more */
    size_t asked = dns.asked;
    while (dns.asked < asked + 2) {
        ask(&one, "u", "x");
        WAIT_WITH_DNS(one.is_closed);
        expect(&one, STATUS_OK);
    }
    stop();
}

static void a_name_that_does_not_exist_is_unavailable_with_the_reason(void) {
    start();
    CONFIGURE("resolver = \"%s\"\nupstream u { target = \"nowhere.test:1\" }", dns.address);
    ask(&one, "u", "x");
    WAIT_WITH_DNS(one.is_closed);
    expect(&one, STATUS_UNAVAILABLE);
    CHECK(strstr(one.text, "nowhere.test"));
    stop();
}

static void a_silent_name_server_blocks_nobody(void) {
    start();
    dns.is_silent = true;
    CONFIGURE("resolver = \"%s\"\nupstream u { target = \"slow.test:1\" }\nupstream v { target = \"%s\" }", dns.address,
              a.address);
    struct asked slow;
    ask_with(&slow, "u", &kit_echo_method, NULL, 2 * NS_PER_S);
    ask(&one, "v", "x");
    WAIT_WITH_DNS(one.is_closed);
    expect(&one, STATUS_OK);
    CHECK(!slow.is_closed);
    WAIT_WITH_DNS(slow.is_closed);
    expect(&slow, STATUS_DEADLINE_EXCEEDED);
    stop();
}

static void the_hosts_file_is_read(void) {
    start();
    CONFIGURE("upstream u { target = \"localhost:%s\" }", port_of(&a));
    ask_and_wait(&one, "u", "x");
    expect(&one, STATUS_OK);
    stop();
}

static void a_unix_socket_is_a_target(void) {
    char folder[] = "/tmp/upstream-XXXXXX";
    CHECK(mkdtemp(folder));
    char *path = memory_format("%s/rpc.sock", folder);
    start();
    server_start(&b, path, 100);
    CONFIGURE("upstream u { target = \"unix:%s\" }", path);
    ask_and_wait(&one, "u", "x");
    expect(&one, STATUS_OK);
    CHECK(strstr(target_of("u", 0).address, path));
    server_stop(&b);
    stop();
    rmdir(folder);
    free(path);
}

int main(void) {
    RUN(calls_wait_for_the_answer_and_use_all_addresses);
    RUN(an_aged_answer_is_asked_for_again_and_addresses_move);
    RUN(a_failure_keeps_the_old_addresses);
    RUN(a_name_that_does_not_exist_is_unavailable_with_the_reason);
    RUN(a_silent_name_server_blocks_nobody);
    RUN(the_hosts_file_is_read);
    RUN(a_unix_socket_is_a_target);
    return 0;
}
