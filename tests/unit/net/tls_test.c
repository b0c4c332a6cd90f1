#include "net/tls.h"

#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "base/memory.h"
#include "certificate_kit.h"
#include "connection_kit.h"
#include "net/tls_private.h"

enum { DAY = 86400 };

static struct certificate ca, other_ca, server_certificate, client_certificate, stranger;
static _Thread_local struct loop *loop;
static _Thread_local struct error error;
static _Thread_local struct end server, client;
static const char *const h2[] = {"h2", NULL};

static struct tls_server_options server_options(void) {
    static char *files[] = {server_certificate.file, NULL}, *keys[] = {server_certificate.key_file, NULL};
    return (struct tls_server_options){.certificates = files, .keys = keys, .protocols = h2};
}

static struct tls_client_options client_options(void) {
    return (struct tls_client_options){.server_name = "server.test", .ca = ca.file, .protocols = h2};
}

static struct tls_server *new_server(const struct tls_server_options *options) {
    struct tls_server *tls = tls_server_new(options, &error);
    if (!tls) fprintf(stderr, "%s\n", error.text);
    CHECK(tls != NULL);
    return tls;
}

static struct tls_client *new_client(const struct tls_client_options *options) {
    struct tls_client *tls = tls_client_new(options, &error);
    if (!tls) fprintf(stderr, "%s\n", error.text);
    CHECK(tls != NULL);
    return tls;
}

/* Both ends in one loop. Takes the two over: the connections must do without the caller's references. */
static void connect_ends(struct tls_server *tls_server, struct tls_client *tls_client) {
    int fds[2];
    loop = loop_new();
    make_pair(fds);
    server = client = (struct end){0};
    end_accept(&server, loop, fds[0],
               &(struct connection_options){.tls_server = tls_server, .handshake_timeout = 10 * NS_PER_S});
    end_accept(&client, loop, fds[1],
               &(struct connection_options){.tls_client = tls_client, .handshake_timeout = 10 * NS_PER_S});
    tls_server_unref(&tls_server);
    tls_client_free(&tls_client);
}

static void connect_with(const struct tls_server_options *for_server,
                         const struct tls_client_options *for_client) {
    connect_ends(new_server(for_server), new_client(for_client));
}

static void run_until_both_ready(void) {
    end_run_until_ready(&server);
    end_run_until_ready(&client);
}

static void disconnect_ends(void) {
    end_free(&server);
    end_free(&client);
    loop_free(&loop);
    CHECK(ERR_peek_error() == 0);
}

/* Echo */

enum { ECHO = 10 * 1024 * 1024 };
static uint8_t echo_bytes[ECHO];
static size_t echo_sent;
static uint32_t echo_random;

static uint32_t next_random(void) { return (echo_random = echo_random * 1664525 + 1013904223) >> 8; }

static void send_back(struct end *end) {
    struct iovec piece = {buffer_bytes(&end->got), buffer_length(&end->got)};
    if (connection_kept(end->connection)) return; /* on_drained goes on */
    if (connection_write(end->connection, &piece, 1)) connection_pause(end->connection);
    buffer_clear(&end->got);
}

/* As many pieces as it takes until some are kept: from empty ones to over 64 KiB. */
static void send_more(void) {
    while (echo_sent < ECHO && !connection_kept(client.connection)) {
        struct iovec pieces[20];
        int count = 0;
        for (; count < 20; count++) {
            size_t length = next_random() % (1u << (next_random() % 18)), left = ECHO - echo_sent;
            if (length > left) length = left;
            pieces[count] = (struct iovec){echo_bytes + echo_sent, length};
            echo_sent += length;
        }
        connection_write(client.connection, pieces, count);
    }
}

static bool server_goes_on(struct end *end) {
    if (!connection_kept(end->connection)) {
        send_back(end);
        if (!connection_kept(end->connection)) connection_resume(end->connection);
    }
    return false;
}
static bool client_goes_on(struct end *end) {
    send_more();
    return buffer_length(&end->got) == ECHO;
}

static void check_echo(int version, const char *expected_version) {
    struct tls_server_options for_server = server_options();
    struct tls_client_options for_client = client_options();
    struct tls_client *tls_client = new_client(&for_client);
    SSL_CTX_set_max_proto_version(tls_client_context(tls_client), version);
    connect_ends(new_server(&for_server), tls_client);
    run_until_both_ready();
    CHECK_STR(connection_tls(server.connection)->version, expected_version);
    CHECK_STR(connection_tls(server.connection)->protocol, "h2");
    CHECK_STR(connection_tls(server.connection)->server_name, "server.test");
    CHECK(strstr(connection_tls(server.connection)->cipher, "GCM") ||
          strstr(connection_tls(server.connection)->cipher, "CHACHA"));
    CHECK(connection_tls(server.connection)->client_subject == NULL);
    CHECK(connection_tls(client.connection)->client_subject == NULL);
    echo_sent = 0;
    server.act = send_back;
    server.stops = server_goes_on;
    client.stops = client_goes_on;
    send_more();
    kit_run(loop);
    CHECK_MEM(buffer_bytes(&client.got), buffer_length(&client.got), echo_bytes, ECHO);
    disconnect_ends();
}

static void ten_megabytes_in_random_pieces_come_back_over_tls_1_2(void) {
    check_echo(TLS1_2_VERSION, "TLSv1.2");
}
static void ten_megabytes_in_random_pieces_come_back_over_tls_1_3(void) {
    check_echo(TLS1_3_VERSION, "TLSv1.3");
}

static void a_reader_that_stops_costs_what_was_written_and_no_more(void) {
    struct tls_server_options for_server = server_options();
    struct tls_client_options for_client = client_options();
    connect_with(&for_server, &for_client);
    run_until_both_ready();
    connection_pause(server.connection);
    struct iovec piece = {echo_bytes, 1024 * 1024};
    size_t kept = connection_write(client.connection, &piece, 1);
    CHECK(kept > 100000 && kept < 1024 * 1024 + 64 * 1024);
    connection_resume(server.connection);
    connection_shutdown(client.connection);
    end_run_until_ended(&server);
    CHECK_STR(server.reason, "closed by the peer");
    CHECK_MEM(buffer_bytes(&server.got), buffer_length(&server.got), echo_bytes, 1024 * 1024);
    disconnect_ends();
}

enum { THREADS = 3, HANDSHAKES = 30 };
static struct tls_server *shared_server;

static void *shake_hands_often(void *context) {
    (void)context;
    struct tls_client_options for_client = client_options();
    for (int i = 0; i < HANDSHAKES; i++) {
        connect_ends(tls_server_ref(shared_server), new_client(&for_client));
        run_until_both_ready();
        CHECK(connection_tls(server.connection)->version != NULL);
        disconnect_ends();
    }
    return NULL;
}

static void several_threads_share_one_server(void) {
    struct tls_server_options for_server = server_options();
    pthread_t threads[THREADS];
    shared_server = new_server(&for_server);
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, shake_hands_often, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    tls_server_unref(&shared_server);
}

/* Client certificates */

static bool both_have_ended(struct end *end) {
    (void)end;
    return server.ended && client.ended;
}

static void check_refused(const char *server_reason) {
    server.stops = client.stops = both_have_ended;
    connection_resume(client.connection);
    end_run_until_ended(&server);
    fprintf(stderr, "  server: %s\n", server.reason);
    CHECK(strstr(server.reason, server_reason) != NULL);
    CHECK_INT(server.ready, 0);
    connection_free(&server.connection);
    end_run_until_ended(&client);
    fprintf(stderr, "  client: %s\n", client.reason);
    disconnect_ends();
}

static void a_client_certificate_is_told_in_full(void) {
    struct tls_server_options for_server = server_options();
    struct tls_client_options for_client = client_options();
    for_server.client_ca = ca.file;
    for_server.asks_client_certificate = for_server.requires_client_certificate = true;
    for_client.certificate = client_certificate.file;
    for_client.key = client_certificate.key_file;
    connect_with(&for_server, &for_client);
    run_until_both_ready();
    const struct tls_info *info = connection_tls(server.connection);
    CHECK_STR(info->client_subject, "CN=Zo\xc3\xab\\, the client,O=Tests");
    CHECK_STR(info->client_common_name, "Zo\xc3\xab, the client");
    CHECK_STR(info->client_names[0], "DNS:client.test");
    CHECK_STR(info->client_names[1], "URI:spiffe://tests/client");
    CHECK_STR(info->client_names[2], "IP:10.0.0.1");
    CHECK_STR(info->client_names[3], "IP:2001:db8::1");
    CHECK_STR(info->client_names[4], "email:zoe@client.test");
    CHECK(info->client_names[5] == NULL);
    unsigned char digest[32];
    char hex[65];
    X509_digest(client_certificate.x509, EVP_sha256(), digest, NULL);
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    CHECK_STR(info->client_fingerprint, hex);
    CHECK(connection_tls(server.connection) == info);
    disconnect_ends();
}

static void an_optional_client_certificate_may_be_missing_but_not_wrong(void) {
    struct tls_server_options for_server = server_options();
    struct tls_client_options for_client = client_options();
    for_server.client_ca = ca.file;
    for_server.asks_client_certificate = true;
    connect_with(&for_server, &for_client);
    run_until_both_ready();
    CHECK(connection_tls(server.connection)->client_fingerprint == NULL);
    CHECK(connection_tls(server.connection)->client_names == NULL);
    disconnect_ends();

    for_client.certificate = stranger.file;
    for_client.key = stranger.key_file;
    connect_with(&for_server, &for_client);
    check_refused("certificate verify failed: unable to get local issuer certificate");
}

static void a_required_client_certificate_must_be_there(void) {
    struct tls_server_options for_server = server_options();
    struct tls_client_options for_client = client_options();
    for_server.client_ca = ca.file;
    for_server.asks_client_certificate = for_server.requires_client_certificate = true;
    connect_with(&for_server, &for_client);
    check_refused("peer did not return a certificate");
}

/* What the client demands */

static void check_client_refuses(const struct tls_server_options *for_server,
                                 const struct tls_client_options *for_client, const char *reason) {
    connect_with(for_server, for_client);
    end_run_until_ended(&client);
    fprintf(stderr, "  client: %s\n", client.reason);
    CHECK(strstr(client.reason, reason) != NULL);
    CHECK_INT(client.ready, 0);
    disconnect_ends();
}

static void the_client_wants_its_name_and_its_authority(void) {
    struct tls_server_options for_server = server_options();
    struct tls_client_options for_client = client_options();
    for_client.server_name = "somebody.else";
    check_client_refuses(&for_server, &for_client, "hostname mismatch");
    for_client.server_name = "10.1.1.1";
    check_client_refuses(&for_server, &for_client, "IP address mismatch");
    for_client = client_options();
    for_client.ca = other_ca.file;
    check_client_refuses(&for_server, &for_client, "unable to get local issuer certificate");
    for_client.is_unverified = true;
    connect_with(&for_server, &for_client);
    run_until_both_ready();
    disconnect_ends();
    for_client = client_options();
    for_client.server_name = "127.0.0.1"; /* the certificate has it as an address */
    connect_with(&for_server, &for_client);
    run_until_both_ready();
    CHECK(connection_tls(server.connection)->server_name == NULL);
    disconnect_ends();
}

/* SNI */

static char served[64];
static int note_served(int is_fine, X509_STORE_CTX *store) {
    if (X509_STORE_CTX_get_error_depth(store) == 0)
        X509_NAME_get_text_by_NID(X509_get_subject_name(X509_STORE_CTX_get_current_cert(store)),
                                  NID_commonName, served, sizeof served);
    return is_fine | 1;
}

static const char *served_for(const struct tls_server_options *for_server, const char *name) {
    struct tls_client_options for_client = client_options();
    for_client.server_name = name;
    struct tls_client *tls_client = new_client(&for_client);
    SSL_CTX_set_verify(tls_client_context(tls_client), SSL_VERIFY_PEER, note_served);
    connect_ends(new_server(for_server), tls_client);
    run_until_both_ready();
    disconnect_ends();
    return served;
}

static void sni_chooses_the_certificate_that_carries_the_name(void) {
    struct certificate wild = make_certificate(&ca, "wild", "DNS:*.sni.test", 0, DAY);
    struct certificate exact = make_certificate(&ca, "exact", "DNS:a.sni.test,DNS:second.test", 0, DAY);
    struct certificate named = make_certificate(&ca, "common.sni", NULL, 0, DAY);
    char *files[] = {server_certificate.file, wild.file, exact.file, named.file, NULL};
    char *keys[] = {server_certificate.key_file, wild.key_file, exact.key_file, named.key_file, NULL};
    struct tls_server_options for_server = server_options();
    for_server.certificates = files;
    for_server.keys = keys;
    CHECK_STR(served_for(&for_server, "server.test"), "server");
    CHECK_STR(served_for(&for_server, "a.sni.test"), "exact"); /* though the wildcard stands before it */
    CHECK_STR(served_for(&for_server, "A.SNI.test"), "exact");
    CHECK_STR(served_for(&for_server, "second.test"), "exact");
    CHECK_STR(served_for(&for_server, "b.sni.test"), "wild");
    CHECK_STR(served_for(&for_server, "b.c.sni.test"), "server");
    CHECK_STR(served_for(&for_server, "common.sni"), "common.sni");
    CHECK_STR(served_for(&for_server, "nobody.test"), "server");
    CHECK_STR(served_for(&for_server, "10.9.9.9"), "server");
    free_certificate(&wild);
    free_certificate(&exact);
    free_certificate(&named);
}

/* ALPN */

static const char *agreed(const char *const *ours, const char *const *theirs) {
    static char protocol[32];
    struct tls_server_options for_server = server_options();
    struct tls_client_options for_client = client_options();
    for_server.protocols = ours;
    for_client.protocols = theirs;
    connect_with(&for_server, &for_client);
    run_until_both_ready();
    const char *got = connection_tls(client.connection)->protocol;
    snprintf(protocol, sizeof protocol, "%s", got ? got : "none");
    CHECK_STR(connection_tls(server.connection)->protocol ? connection_tls(server.connection)->protocol
                                                          : "none",
              protocol);
    disconnect_ends();
    return protocol;
}

static void alpn_goes_by_our_preference_and_may_be_missing(void) {
    CHECK_STR(
        agreed((const char *const[]){"h2", "http/1.1", NULL}, (const char *const[]){"http/1.1", "h2", NULL}),
        "h2");
    CHECK_STR(
        agreed((const char *const[]){"h2", "http/1.1", NULL}, (const char *const[]){"h3", "http/1.1", NULL}),
        "http/1.1");
    CHECK_STR(agreed(h2, NULL), "none");
    CHECK_STR(agreed(NULL, h2), "none");
}

static void alpn_without_a_match_is_refused_with_its_alert(void) {
    struct tls_server_options for_server = server_options();
    struct tls_client_options for_client = client_options();
    for_client.protocols = (const char *const[]){"http/1.1", "h", "h22", NULL};
    check_client_refuses(&for_server, &for_client, "no application protocol");
}

/* Versions and suites */

static void old_versions_and_suites_are_refused(void) {
    struct tls_server_options for_server = server_options();
    struct tls_client_options for_client = client_options();
    struct tls_client *tls_client = new_client(&for_client);
    SSL_CTX_set_max_proto_version(tls_client_context(tls_client), TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(tls_client_context(tls_client),
                            "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA");
    connect_ends(new_server(&for_server), tls_client);
    check_refused("no shared cipher");

    for_server.is_tls13_only = true;
    tls_client = new_client(&for_client);
    SSL_CTX_set_max_proto_version(tls_client_context(tls_client), TLS1_2_VERSION);
    connect_ends(new_server(&for_server), tls_client);
    check_refused("unsupported protocol");

    for_server.is_tls13_only = false;
    tls_client = new_client(&for_client);
    SSL_CTX_set_security_level(tls_client_context(tls_client), 0);
    SSL_CTX_set_cipher_list(tls_client_context(tls_client), "ALL:@SECLEVEL=0");
    SSL_CTX_set_min_proto_version(tls_client_context(tls_client), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(tls_client_context(tls_client), TLS1_1_VERSION);
    connect_ends(new_server(&for_server), tls_client);
    check_refused("unsupported protocol");
}

/* Peers that do not speak TLS */

static void check_raw_peer(const void *bytes, size_t length, bool closes, uint64_t timeout,
                           const char *reason) {
    int fds[2];
    struct tls_server_options for_server = server_options();
    struct tls_server *tls_server = new_server(&for_server);
    loop = loop_new();
    make_pair(fds);
    server = client = (struct end){0};
    end_accept(&server, loop, fds[0],
               &(struct connection_options){.tls_server = tls_server, .handshake_timeout = timeout});
    CHECK(write(fds[1], bytes, length) == (ssize_t)length);
    if (closes) shutdown(fds[1], SHUT_WR);
    end_run_until_ended(&server);
    fprintf(stderr, "  server: %s\n", server.reason);
    CHECK(strstr(server.reason, reason) != NULL);
    CHECK_INT(server.ready, 0);
    tls_server_unref(&tls_server);
    disconnect_ends();
    close(fds[1]);
}

static void who_speaks_no_tls_or_stops_half_way_is_ended(void) {
    static const uint8_t half_hello[] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc};
    static const uint8_t huge_record[] = {0x16, 0x03, 0x01, 0xff, 0xff, 0x01};
    check_raw_peer("GET / HTTP/1.1\r\n\r\n", 18, false, NS_PER_S * 10, "http request");
    check_raw_peer("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, false, NS_PER_S * 10, "TLS: ");
    check_raw_peer(echo_bytes, 5000, false, NS_PER_S * 10, "TLS: ");
    check_raw_peer(huge_record, sizeof huge_record, false, NS_PER_S * 10, "TLS: ");
    check_raw_peer(half_hello, sizeof half_hello, true, NS_PER_S * 10,
                   "closed by the peer during the TLS handshake");
    check_raw_peer(half_hello, sizeof half_hello, false, NS_PER_MS * 10, "the TLS handshake took too long");
}

static void one_connections_fault_is_not_anothers(void) {
    struct tls_server_options for_server = server_options();
    struct tls_client_options for_client = client_options();
    connect_with(&for_server, &for_client);
    run_until_both_ready();
    int fds[2];
    struct end bad = {0};
    struct tls_server *tls_server = new_server(&for_server);
    make_pair(fds);
    end_accept(&bad, loop, fds[0], &(struct connection_options){.tls_server = tls_server});
    CHECK(write(fds[1], "garbage, garbage", 16) == 16);
    end_write(&client, "hello"); /* both are read in one turn */
    end_run_until_ended(&bad);
    server.stops = end_has_bytes;
    if (!server.calls) kit_run(loop);
    CHECK_MEM(buffer_bytes(&server.got), buffer_length(&server.got), "hello", 5);
    CHECK_INT(server.ended, 0);
    end_free(&bad);
    close(fds[1]);
    tls_server_unref(&tls_server);
    disconnect_ends();
}

/* A client of plain OpenSSL whose bytes pass through the test's hands. */

struct hand {
    SSL *ssl;
    BIO *in, *out; /* from and to the server */
    SSL_CTX *context;
    int fd;
};

static void stop_loop(struct timer *timer) {
    (void)timer;
    loop_stop(loop);
}

static void give_turns(int turns) {
    struct timer timer;
    timer_init(&timer, stop_loop);
    for (; turns && !server.ended; turns--) {
        timer_start(loop, &timer, 0);
        kit_run(loop);
    }
    timer_stop(loop, &timer);
}

/* Takes what the client wants to say out of it. */
static size_t take_out(struct hand *hand, uint8_t *bytes, size_t size) {
    int length = BIO_read(hand->out, bytes, (int)size);
    return length > 0 ? (size_t)length : 0;
}

/* What the client has to say goes out, the server has a turn, what it says comes in. */
static void pass(struct hand *hand) {
    uint8_t bytes[20000];
    size_t length = take_out(hand, bytes, sizeof bytes);
    if (length) CHECK(write(hand->fd, bytes, length) == (ssize_t)length);
    give_turns(1);
    ssize_t got = read(hand->fd, bytes, sizeof bytes);
    if (got > 0) BIO_write(hand->in, bytes, (int)got);
}

/* Takes the server and the context over; the session may be NULL. */
static struct hand shake_hands(struct tls_server *tls_server, SSL_CTX *context, SSL_SESSION *session,
                               const char *first) {
    int fds[2];
    loop = loop_new();
    make_pair(fds);
    server = client = (struct end){0};
    end_accept(&server, loop, fds[0],
               &(struct connection_options){.tls_server = tls_server, .reads_proxy_header = *first != '\0'});
    tls_server_unref(&tls_server);

    struct hand hand = {.context = context, .fd = fds[1], .ssl = SSL_new(context)};
    hand.in = BIO_new(BIO_s_mem());
    hand.out = BIO_new(BIO_s_mem());
    SSL_set_bio(hand.ssl, hand.in, hand.out);
    SSL_set_connect_state(hand.ssl);
    if (session) SSL_set_session(hand.ssl, session);
    BIO_write(hand.out, first, (int)strlen(first));
    while (SSL_do_handshake(hand.ssl) != 1) pass(&hand);
    while (!server.ready) pass(&hand);
    return hand;
}

/* `first` comes before the handshake: "" or a PROXY header. */
static struct hand begin_hand(const char *first, int version) {
    struct tls_server_options for_server = server_options();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context, version);
    return shake_hands(new_server(&for_server), context, NULL, first);
}

static void say(struct hand *hand, const char *text) {
    CHECK(SSL_write(hand->ssl, text, (int)strlen(text)) > 0);
}

static void finish_hand(struct hand *hand) {
    SSL_free(hand->ssl);
    SSL_CTX_free(hand->context);
    ERR_clear_error();
    close(hand->fd);
    disconnect_ends();
}

static void a_proxy_header_may_stand_before_the_handshake_in_one_piece_with_it(void) {
    struct hand hand = begin_hand("PROXY TCP4 10.1.2.3 10.1.2.4 5 443\r\n", TLS1_3_VERSION);
    CHECK_STR(connection_peer(server.connection), "10.1.2.3:5");
    say(&hand, "hello");
    pass(&hand);
    CHECK_MEM(buffer_bytes(&server.got), buffer_length(&server.got), "hello", 5);
    finish_hand(&hand);
}

static void records_in_single_bytes_are_put_together(void) {
    struct hand hand = begin_hand("", TLS1_2_VERSION);
    uint8_t bytes[1000];
    say(&hand, "hello, ");
    say(&hand, "world");
    size_t length = take_out(&hand, bytes, sizeof bytes);
    for (size_t i = 0; i < length; i++) {
        CHECK(write(hand.fd, bytes + i, 1) == 1);
        give_turns(1);
    }
    CHECK_MEM(buffer_bytes(&server.got), buffer_length(&server.got), "hello, world", 12);
    CHECK_INT(server.calls, 2);
    finish_hand(&hand);
}

static void what_stood_before_a_spoiled_record_is_told_and_then_the_end(void) {
    struct hand hand = begin_hand("", TLS1_3_VERSION);
    uint8_t bytes[1000];
    say(&hand, "fine");
    size_t fine = take_out(&hand, bytes, sizeof bytes);
    say(&hand, "spoiled");
    say(&hand, "never read");
    size_t length = fine + take_out(&hand, bytes + fine, sizeof bytes - fine);
    bytes[fine + 8] ^= 1;
    CHECK(write(hand.fd, bytes, length) == (ssize_t)length);
    end_run_until_ended(&server);
    fprintf(stderr, "  server: %s\n", server.reason);
    CHECK(strstr(server.reason, "bad record mac"));
    CHECK_MEM(buffer_bytes(&server.got), buffer_length(&server.got), "fine", 4);
    finish_hand(&hand);
}

static void a_tls_close_ends_it_and_bytes_behind_it_do_not_count(void) {
    struct hand hand = begin_hand("", TLS1_2_VERSION);
    say(&hand, "last");
    SSL_shutdown(hand.ssl);
    BIO_write(hand.out, "garbage behind", 14);
    pass(&hand);
    end_run_until_ended(&server);
    CHECK_STR(server.reason, "closed by the peer");
    CHECK_MEM(buffer_bytes(&server.got), buffer_length(&server.got), "last", 4);
    finish_hand(&hand);
}

static void shutdown_says_the_tls_close(void) {
    struct hand hand = begin_hand("", TLS1_3_VERSION);
    uint8_t bytes[1000];
    connection_shutdown(server.connection);
    pass(&hand);
    CHECK_INT(SSL_get_error(hand.ssl, SSL_read(hand.ssl, bytes, sizeof bytes)), SSL_ERROR_ZERO_RETURN);
    CHECK_INT(read(hand.fd, bytes, sizeof bytes), 0);
    finish_hand(&hand);
}

static void renegotiation_is_refused_and_the_connection_goes_on(void) {
    struct hand hand = begin_hand("", TLS1_2_VERSION);
    char text[16];
    SSL_renegotiate(hand.ssl);
    SSL_do_handshake(hand.ssl);
    pass(&hand);
    CHECK(SSL_read(hand.ssl, text, sizeof text) <
          0); /* OpenSSL as a client does not go on after the refusal */
    CHECK_INT(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
    CHECK_INT(server.ended, 0);
    CHECK_INT(end_write(&server, "still here"), 0);
    finish_hand(&hand);
}

static void a_key_update_is_answered(void) {
    struct hand hand = begin_hand("", TLS1_3_VERSION);
    char text[16];
    for (int i = 0; i < 40; i++) {
        SSL_key_update(hand.ssl, SSL_KEY_UPDATE_REQUESTED);
        say(&hand, "x");
        pass(&hand);
        end_write(&server, "y");
        pass(&hand);
        CHECK_INT(SSL_read(hand.ssl, text, sizeof text), 1);
    }
    CHECK_INT(buffer_length(&server.got), 40);
    finish_hand(&hand);
}

static void who_asks_for_key_updates_and_reads_nothing_is_ended(void) {
    struct hand hand = begin_hand("", TLS1_3_VERSION);
    static uint8_t bytes[100];
    struct iovec piece = {echo_bytes, 1024 * 1024};
    CHECK(connection_write(server.connection, &piece, 1) > 0); /* the way to the client is full */
    for (int i = 0; i < 10000 && !server.ended; i++) {
        CHECK(SSL_key_update(hand.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
        SSL_do_handshake(hand.ssl);
        size_t length = take_out(&hand, bytes, sizeof bytes);
        if (length) CHECK(write(hand.fd, bytes, length) == (ssize_t)length);
        give_turns(1);
    }
    CHECK_INT(server.ended, 1);
    CHECK(strstr(server.reason, "does not read"));
    finish_hand(&hand);
}

static void check_resumption(int version) {
    struct tls_server_options for_server = server_options();
    for_server.client_ca = ca.file;
    for_server.asks_client_certificate = for_server.requires_client_certificate = true;
    struct tls_server *tls_server = new_server(&for_server);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_use_certificate_file(context, client_certificate.file, SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, client_certificate.key_file, SSL_FILETYPE_PEM);
    SSL_CTX_up_ref(context);
    struct hand hand = shake_hands(tls_server_ref(tls_server), context, NULL, "");
    char text[16], fingerprint[65];
    CHECK(!SSL_session_reused(hand.ssl));
    end_write(&server, "hello"); /* the ticket of TLS 1.3 comes before it */
    pass(&hand);
    CHECK_INT(SSL_read(hand.ssl, text, sizeof text), 5);
    snprintf(fingerprint, sizeof fingerprint, "%s", connection_tls(server.connection)->client_fingerprint);
    SSL_SESSION *session = SSL_get1_session(hand.ssl);
    SSL_shutdown(hand.ssl);
    finish_hand(&hand);

    SSL_CTX_up_ref(context);
    hand = shake_hands(tls_server_ref(tls_server), context, session, "");
    CHECK(SSL_session_reused(hand.ssl));
    CHECK_STR(connection_tls(server.connection)->client_fingerprint, fingerprint);
    CHECK_STR(connection_tls(server.connection)->client_names[1], "URI:spiffe://tests/client");
    finish_hand(&hand);
    tls_server_unref(&tls_server);

    tls_server = new_server(&for_server); /* as after a reload: other keys, so a whole handshake */
    hand = shake_hands(tls_server, context, session, "");
    CHECK(!SSL_session_reused(hand.ssl));
    finish_hand(&hand);
    SSL_SESSION_free(session);
}

static void a_session_that_is_resumed_still_tells_the_client_certificate(void) {
    check_resumption(TLS1_2_VERSION);
    check_resumption(TLS1_3_VERSION);
}

static void an_idle_tls_connection_owns_no_record_buffers(void) {
#ifndef TIDEWIRE_SANITIZED
    enum { COUNT = 50 };
    static struct end servers[COUNT], clients[COUNT];
    struct tls_server_options for_server = server_options();
    struct tls_client_options for_client = client_options();
    struct tls_server *tls_server = new_server(&for_server);
    struct tls_client *tls_client = new_client(&for_client);
    loop = loop_new();
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < COUNT; i++) {
        int fds[2];
        make_pair(fds);
        servers[i] = clients[i] = (struct end){0};
        end_accept(&servers[i], loop, fds[0], &(struct connection_options){.tls_server = tls_server});
        end_accept(&clients[i], loop, fds[1], &(struct connection_options){.tls_client = tls_client});
        end_run_until_ready(&servers[i]);
        end_run_until_ready(&clients[i]);
        end_write(&clients[i], "x");
        servers[i].stops = end_has_bytes;
        kit_run(loop);
        buffer_free(&servers[i].got);
    }
    size_t both = (mallinfo2().uordblks - before) / COUNT;
    fprintf(stderr, "  client and server: %zu bytes\n", both);
    CHECK(both < 64 * 1024);
    for (int i = 0; i < COUNT; i++) {
        end_free(&servers[i]);
        end_free(&clients[i]);
    }
    tls_server_unref(&tls_server);
    tls_client_free(&tls_client);
    loop_free(&loop);
#endif
}

/* Files */

static void spoil(const char *file, const char *text) {
    FILE *stream = fopen(file, "w");
    fputs(text, stream);
    fclose(stream);
}

static void check_server_error(char *certificate, char *key, const char *file, const char *text) {
    char *files[] = {certificate, NULL}, *keys[] = {key, NULL}, expected[128];
    struct tls_server_options for_server = server_options();
    for_server.certificates = files;
    for_server.keys = keys;
    CHECK(tls_server_new(&for_server, &error) == NULL);
    fprintf(stderr, "  %s\n", error.text);
    snprintf(expected, sizeof expected, "%s: error: ", file);
    CHECK(strncmp(error.text, expected, strlen(expected)) == 0);
    CHECK(strstr(error.text, text));
    CHECK(ERR_peek_error() == 0);
}

static void wrong_files_are_errors_that_name_the_file_and_the_fault(void) {
    struct certificate late = make_certificate(&ca, "late", NULL, -2 * DAY, -DAY);
    struct certificate early = make_certificate(&ca, "early", NULL, DAY, 2 * DAY);
    struct certificate broken = make_certificate(&ca, "broken", NULL, 0, DAY);
    struct certificate locked = make_certificate(&ca, "locked", NULL, 0, DAY);
    char nowhere[] = "/nowhere/at/all.pem";
    spoil(broken.file, "no PEM at all\n");
    spoil(broken.key_file, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    FILE *stream = fopen(locked.key_file, "w");
    PEM_write_PrivateKey(stream, locked.key, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)(uintptr_t) "secret");
    fclose(stream);

    check_server_error(nowhere, server_certificate.key_file, nowhere, "No such file");
    check_server_error(server_certificate.file, nowhere, nowhere, "No such file");
    check_server_error(broken.file, broken.key_file, broken.file, "no usable certificate");
    check_server_error(server_certificate.file, broken.key_file, broken.key_file, "no private key");
    check_server_error(locked.file, locked.key_file, locked.key_file, "without a passphrase");
    check_server_error(server_certificate.file, client_certificate.key_file, client_certificate.key_file,
                       "does not belong to the certificate");
    check_server_error(late.file, late.key_file, late.file, "expired on 2");
    check_server_error(early.file, early.key_file, early.file, "not valid before 2");

    struct tls_server_options for_server = server_options();
    for_server.asks_client_certificate = true;
    CHECK(tls_server_new(&for_server, &error) == NULL);
    CHECK(strstr(error.text, "client_ca"));
    for_server.client_ca = broken.file;
    CHECK(tls_server_new(&for_server, &error) == NULL);
    CHECK(strncmp(error.text, broken.file, strlen(broken.file)) == 0);
    struct tls_client_options for_client = client_options();
    for_client.ca = nowhere;
    CHECK(tls_client_new(&for_client, &error) == NULL);
    CHECK(strstr(error.text, nowhere));
    CHECK(ERR_peek_error() == 0);
    free_certificate(&late);
    free_certificate(&early);
    free_certificate(&broken);
    free_certificate(&locked);
}

int main(void) {
    CHECK(mkdtemp(certificate_directory));
    for (int i = 0; i < ECHO; i++) echo_bytes[i] = (uint8_t)next_random();
    ca = make_certificate(NULL, "Authority", NULL, 0, DAY);
    other_ca = make_certificate(NULL, "Other authority", NULL, 0, DAY);
    server_certificate = make_certificate(&ca, "server", "DNS:server.test,IP:127.0.0.1", 0, DAY);
    client_certificate = make_certificate(&ca, "Zo\xc3\xab, the client",
                                          "DNS:client.test,URI:spiffe://tests/"
                                          "client,IP:10.0.0.1,IP:2001:db8::1,email:zoe@client.test,RID:1.2.3",
                                          0, DAY);
    stranger = make_certificate(&other_ca, "stranger", NULL, 0, DAY);

    RUN(ten_megabytes_in_random_pieces_come_back_over_tls_1_2);
    RUN(ten_megabytes_in_random_pieces_come_back_over_tls_1_3);
    RUN(a_reader_that_stops_costs_what_was_written_and_no_more);
    RUN(several_threads_share_one_server);
    RUN(a_client_certificate_is_told_in_full);
    RUN(an_optional_client_certificate_may_be_missing_but_not_wrong);
    RUN(a_required_client_certificate_must_be_there);
    RUN(the_client_wants_its_name_and_its_authority);
    RUN(sni_chooses_the_certificate_that_carries_the_name);
    RUN(alpn_goes_by_our_preference_and_may_be_missing);
    RUN(alpn_without_a_match_is_refused_with_its_alert);
    RUN(old_versions_and_suites_are_refused);
    RUN(who_speaks_no_tls_or_stops_half_way_is_ended);
    RUN(one_connections_fault_is_not_anothers);
    RUN(a_proxy_header_may_stand_before_the_handshake_in_one_piece_with_it);
    RUN(records_in_single_bytes_are_put_together);
    RUN(what_stood_before_a_spoiled_record_is_told_and_then_the_end);
    RUN(a_tls_close_ends_it_and_bytes_behind_it_do_not_count);
    RUN(shutdown_says_the_tls_close);
    RUN(renegotiation_is_refused_and_the_connection_goes_on);
    RUN(a_key_update_is_answered);
    RUN(who_asks_for_key_updates_and_reads_nothing_is_ended);
    RUN(a_session_that_is_resumed_still_tells_the_client_certificate);
    RUN(an_idle_tls_connection_owns_no_record_buffers);
    RUN(wrong_files_are_errors_that_name_the_file_and_the_fault);

    free_certificate(&ca);
    free_certificate(&other_ca);
    free_certificate(&server_certificate);
    free_certificate(&client_certificate);
    free_certificate(&stranger);
    rmdir(certificate_directory);
    return 0;
}
