/* upstream/: targets that are called by TLS. */
#include "kit.h"
#include "net/certificate_kit.h"

static const long day = 24 * 3600;
static struct certificate authority, stranger, good, other, client;
static struct server a;
static struct asked one;

static void start(const struct certificate *certificate, const char *protocol, const char *client_ca) {
    struct error error;
    kit_start();
    server_start(&a, "0", 100);
    a.tls = tls_server_new(
        &(struct tls_server_options){.certificates = (char *[]){(char *)certificate->file, NULL},
                                     .keys = (char *[]){(char *)certificate->key_file, NULL},
                                     .client_ca = client_ca,
                                     .asks_client_certificate = client_ca != NULL,
                                     .requires_client_certificate = client_ca != NULL,
                                     .protocols = protocol ? (const char *const[]){protocol, NULL} : NULL},
        &error);
    CHECK(a.tls);
}

/* One call; what `tls { }` says. */
#define CALL(...)                                                                                            \
    do {                                                                                                     \
        char *tls_ = memory_format(__VA_ARGS__);                                                             \
        CONFIGURE("upstream u { target = \"%s\" tls { %s } }", a.address, tls_);                             \
        free(tls_);                                                                                          \
        ask_and_wait(&one, "u", "x");                                                                        \
    } while (0)

static void refused_because(const char *reason) {
    expect(&one, STATUS_UNAVAILABLE);
    if (!strstr(one.text, reason)) fprintf(stderr, "%s\n", one.text);
    CHECK(strstr(one.text, reason));
    CHECK_INT(a.served, 0);
    kit_stop_with(&a);
}

static void the_certificate_must_carry_the_targets_host_or_the_name_that_is_given(void) {
    start(&good, "h2", NULL);
    CALL("ca = \"%s\"", authority.file);
    expect(&one, STATUS_OK); /* for its address */
    kit_stop_with(&a);
    start(&good, "h2", NULL);
    CALL("ca = \"%s\" server_name = numbers.test", authority.file);
    expect(&one, STATUS_OK);
    kit_stop_with(&a);
    start(&other, "h2", NULL);
    CALL("ca = \"%s\"", authority.file);
    refused_because("IP address mismatch");
    start(&good, "h2", NULL);
    CALL("ca = \"%s\" server_name = letters.test", authority.file);
    refused_because("hostname mismatch");
}

static void a_strangers_certificate_is_refused_unless_nothing_is_verified(void) {
    start(&stranger, "h2", NULL);
    CALL("ca = \"%s\"", authority.file);
    refused_because("self-signed certificate");
    start(&stranger, "h2", NULL);
    CALL("verify = off");
    expect(&one, STATUS_OK);
    kit_stop_with(&a);
}

static void a_server_without_alpn_is_refused(void) {
    start(&good, NULL, NULL);
    CALL("ca = \"%s\"", authority.file);
    refused_because("ALPN");
}

static void our_own_certificate_is_shown_to_servers_that_ask(void) {
    start(&good, "h2", authority.file);
    CALL("ca = \"%s\" certificate = \"%s\" key = \"%s\"", authority.file, client.file, client.key_file);
    expect(&one, STATUS_OK);
    kit_stop_with(&a);
    start(&good, "h2", authority.file);
    CALL("ca = \"%s\"", authority.file);
    expect(&one, STATUS_UNAVAILABLE);
    CHECK_INT(a.served, 0);
    kit_stop_with(&a);
}

static void a_file_that_is_no_certificate_is_an_error_that_names_it(void) {
    struct error error;
    kit_start();
    char *text = memory_format("listen \"127.0.0.1:0\" { }\n"
                               "upstream u { target = \"127.0.0.1:1\" tls { ca = \"%s\" } }",
                               good.key_file);
    struct config *config = config_read_text("t.conf", text, strlen(text), &error);
    CHECK(config);
    CHECK(!upstream_set_new(upstreams, config, &error));
    CHECK(strstr(error.text, good.key_file));
    config_free(&config);
    free(text);
    kit_stop();
}

static void a_certificate_file_that_changes_makes_another_upstream(void) {
    start(&good, "h2", NULL);
    CALL("ca = \"%s\"", authority.file);
    expect(&one, STATUS_OK);
    struct upstream_set *before = set;
    CONFIGURE("upstream u { target = \"%s\" tls { ca = \"%s\" } }", a.address, authority.file);
    CHECK(upstream_set_find(set, "u") == upstream_set_find(before, "u"));
    upstream_set_free(&before);
    before = set;
    FILE *file = fopen(authority.file, "a");
    CHECK(file && fputs("\n", file) >= 0);
    fclose(file);
    CONFIGURE("upstream u { target = \"%s\" tls { ca = \"%s\" } }", a.address, authority.file);
    CHECK(upstream_set_find(set, "u") != upstream_set_find(before, "u"));
    upstream_set_free(&before);
    ask_and_wait(&one, "u", "x");
    expect(&one, STATUS_OK);
    kit_stop_with(&a);
}

int main(void) {
    CHECK(mkdtemp(certificate_directory));
    authority = make_certificate(NULL, "authority", NULL, -day, day);
    stranger = make_certificate(NULL, "stranger", "DNS:numbers.test,IP:127.0.0.1", -day, day);
    good = make_certificate(&authority, "good", "DNS:numbers.test,IP:127.0.0.1", -day, day);
    other = make_certificate(&authority, "other", "DNS:letters.test", -day, day);
    client = make_certificate(&authority, "client", "DNS:gateway.test", -day, day);
    RUN(the_certificate_must_carry_the_targets_host_or_the_name_that_is_given);
    RUN(a_strangers_certificate_is_refused_unless_nothing_is_verified);
    RUN(a_server_without_alpn_is_refused);
    RUN(our_own_certificate_is_shown_to_servers_that_ask);
    RUN(a_file_that_is_no_certificate_is_an_error_that_names_it);
    RUN(a_certificate_file_that_changes_makes_another_upstream);
    free_certificate(&authority);
    free_certificate(&stranger);
    free_certificate(&good);
    free_certificate(&other);
    free_certificate(&client);
    rmdir(certificate_directory);
    return 0;
}
