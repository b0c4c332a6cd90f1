#include "net/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "check.h"

static bool has(const struct network_list *list, const char *text) {
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) return network_list_has(list, (struct sockaddr *)&v4);
    CHECK(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
    return network_list_has(list, (struct sockaddr *)&v6);
}

static void an_address_is_in_the_networks_that_contain_it(void) {
    char *texts[] = {(char[]){"10.0.0.0/8"},
                     (char[]){"192.168.1.128/25"},
                     (char[]){"172.16.5.4"},
                     (char[]){"172.20.0.0/14"},
                     (char[]){"2001:db8::/33"},
                     (char[]){"::1"},
                     NULL};
    struct error error;
    struct network_list *list = network_list_new(texts, &error);
    static const char *const in[] = {
        "10.0.0.0",    "10.255.255.255",       "192.168.1.128", "192.168.1.255",  "172.16.5.4",
        "2001:db8::1", "2001:db8:7fff:ffff::", "::1",           "::ffff:10.1.2.3"};
    static const char *const out[] = {
        "9.255.255.255",  "11.0.0.0",        "192.168.1.127", "192.168.2.128",   "172.16.5.5", "172.24.0.0",
        "172.19.255.255", "2001:db8:8000::", "::2",           "::ffff:11.1.2.3", "::",         "a00::"};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) CHECK(has(list, in[i]));
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) CHECK(!has(list, out[i]));
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    CHECK(!network_list_has(list, (struct sockaddr *)&un));
    CHECK(!network_list_is_empty(list));
    network_list_free(&list);
}

static void unix_and_everything_can_be_named(void) {
    char *texts[] = {(char[]){"unix"}, (char[]){"0.0.0.0/0"}, NULL};
    struct error error;
    struct network_list *list = network_list_new(texts, &error);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr other = {.sa_family = AF_UNSPEC};
    CHECK(network_list_has(list, (struct sockaddr *)&un));
    CHECK(!network_list_has(list, &other));
    CHECK(has(list, "1.2.3.4"));
    CHECK(!has(list, "::1"));
    network_list_free(&list);
    list = network_list_new(NULL, &error);
    CHECK(network_list_is_empty(list));
    CHECK(!network_list_has(list, (struct sockaddr *)&un));
    network_list_free(&list);
}

static void what_is_no_network_is_an_error_that_names_it(void) {
    static const char *const bad[] = {"",
                                      "10.0.0.0/33",
                                      "10.0.0.0/",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/8x",
                                      "10.0.0/8",
                                      "::/129",
                                      "host",
                                      "10.0.0.0/8/8",
                                      "10.0.0.0/0000008",
                                      "Unix",
                                      "1111111111111111111111111111111111111111111111111111111111111"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[80], *texts[] = {(char[]){"::1"}, text, NULL};
        struct error error = {0};
        snprintf(text, sizeof text, "%s", bad[i]);
        CHECK(network_list_new(texts, &error) == NULL);
        CHECK(strstr(error.text, bad[i]) != NULL);
    }
}

int main(void) {
    RUN(an_address_is_in_the_networks_that_contain_it);
    RUN(unix_and_everything_can_be_named);
    RUN(what_is_no_network_is_an_error_that_names_it);
    return 0;
}
