/* config/keys.c - see keys.h */
#include "config/keys.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "config/config.h"

const struct section sections[SECTION_COUNT] = {
    [SECTION_FILE] = {.name = "", .help = "What stands outside of all braces."},
    [SECTION_LISTEN] = {.name = "listen",
                        .title = "ADDRESS",
                        .example = "127.0.0.1:50051",
                        .help = "An address that clients connect to: `127.0.0.1:50051`, `[::1]:50051`, "
                                "`*:50051` (every address), `localhost:0` (any free port; it is printed), "
                                "`unix:/run/tidewire.sock`. Clients speak HTTP/2 or HTTP/1.1 on the same port (by TLS as "
                                "ALPN says); gRPC needs HTTP/2. Nothing listens that no `listen` names."},
    [SECTION_TLS] =
        {.name = "tls",
         .parent = SECTION_LISTEN,
         .help = "TLS on this address, HTTP/2 by ALPN. Without it the address speaks HTTP/2 in plain text."},
    [SECTION_CORS] =
        {.name = "cors",
         .parent = SECTION_LISTEN,
         .help = "Which web pages may call here by gRPC-Web, Connect, WebSocket and REST, and read every header of the answers. "
                 "Their browsers' preflights are answered, and no handler hears of them. It keeps nobody else away. "
                 "Without it only pages of the gateway's own origin can call."},
    [SECTION_ADMIN] = {.name = "admin",
                       .title = "ADDRESS",
                       .example = "127.0.0.1:9464",
                       .help = "An address for those who watch the gateway, written as that of a `listen`: `GET /metrics` for "
                               "Prometheus, `/health` (the process lives) and `/ready` (it takes calls), by HTTP/1.1 and HTTP/2 "
                               "without TLS. Nothing else is served there, and nothing of it elsewhere. Whoever "
                               "reaches the address may read: 127.0.0.1, or a unix socket, is for this machine alone. It "
                               "stays open while the gateway drains."},
    [SECTION_UPSTREAM] =
        {.name = "upstream",
         .title = "NAME",
         .example = "numbers",
         .help = "A gRPC server, or several of one kind, that this gateway calls. One connection carries the calls of "
                 "each worker to a target; it is made when a call needs it. A reload keeps the connections of an "
                 "upstream whose section, and whose certificate files, have not changed."},
    [SECTION_UPSTREAM_TLS] = {.name = "tls",
                              .parent = SECTION_UPSTREAM,
                              .help = "Call the targets by TLS, which must speak HTTP/2 by ALPN. Without it: HTTP/2 in "
                                      "plain text."},
    [SECTION_UPSTREAM_KEEPALIVE] = {.name = "keepalive",
                                    .parent = SECTION_UPSTREAM,
                                    .help = "PINGs to silent targets. Many servers take offence at more than one in "
                                            "five minutes; one that says so gets half as many."},
    [SECTION_HEALTH] = {.name = "health",
                        .parent = SECTION_UPSTREAM,
                        .help = "Ask every target for its health by grpc.health.v1.Health, and call no unhealthy "
                                "one. A target that does not know this service counts as healthy. Each worker asks "
                                "for itself, and keeps a connection to every target."},
    [SECTION_EJECT] = {.name = "eject",
                       .parent = SECTION_UPSTREAM,
                       .help = "Leave out, for a while, a target whose calls fail one after the other: UNAVAILABLE, "
                               "INTERNAL or UNKNOWN without an answer, lost connections, silence."},
    [SECTION_RETRY] = {.name = "retry",
                       .parent = SECTION_UPSTREAM,
                       .help = "Call again, while nothing of an answer has come, when a call ends with one of the "
                               "statuses `on`. Calls that no server has seen (refused streams, a GOAWAY) are always "
                               "made again. A server's grpc-retry-pushback-ms is obeyed."},
    [SECTION_PEER] =
        {.name = "peer",
         .title = "NAME",
         .example = "b",
         .help = "Another tidewire, with which this one shares a single connection, whoever of the two has made it: "
                 "calls go both ways on it. It is made when a call needs it. A peer can stand wherever the name of an "
                 "`upstream` can. A reload keeps the connection of a peer whose section, and whose certificate files, "
                 "have not changed."},
    [SECTION_PEER_TLS] = {.name = "tls",
                          .parent = SECTION_PEER,
                          .help = "Connect to the peer by TLS. Each side proves its id by its certificate: a name (DNS "
                                  "or URI) of it or, where it has none, its common name is the id."},
    [SECTION_PEER_KEEPALIVE] = {.name = "keepalive",
                                .parent = SECTION_PEER,
                                .help = "PINGs on a silent connection that we have made, for as long as it stands."},
    [SECTION_SHARED_DICT] = {.name = "shared_dict",
                             .title = "NAME",
                             .example = "tokens",
                             .help = "A dictionary that the scripts of all workers share, as `tidewire.shared.NAME`: letters, "
                                     "digits, `.`, `-` and `_`, at most 64. It keeps its contents over a reload that names it "
                                     "with the same size; with another one it begins empty, and a line of the log says so."},
    [SECTION_BUS] = {.name = "bus",
                     .help = "Carries topics between gateways, on one host or many, by a NATS server or a cluster of them. "
                             "Without it topics are of this process alone. The gateway starts and serves whether the "
                             "server is there or not. A reload keeps the connection when the section, and its files, have "
                             "not changed; subscribers notice nothing of another one."},
    [SECTION_BUS_TLS] = {.name = "tls",
                         .parent = SECTION_BUS,
                         .help = "Connect to the NATS servers by TLS."},
    [SECTION_BUS_STREAM] =
        {.name = "jetstream",
         .parent = SECTION_BUS,
         .help = "Keep the messages of topics with a `history` in a stream of NATS JetStream, which gives them their order "
                 "and their positions, the same on all gateways. The stream is made with these settings when there is none "
                 "of that name; one that there is is used as it is. It takes nats-server 2.9 or newer. Without this "
                 "section every gateway has a history and positions of its own."},
    [SECTION_LIMIT] = {.name = "limit",
                       .title = "NAME",
                       .example = "per-user",
                       .help = "How many messages, bytes and streams, how fast and for how long, for what `per` says. It holds "
                               "for the services and methods whose `limit` names it, for all of them where `limits` does, "
                               "and for who connects to a `listen` that does. Whoever names it shares its buckets, all "
                               "workers too. Messages count as they are handled or passed on; those of each direction by "
                               "themselves. A stream that has reached a limit which does not wait ends RESOURCE_EXHAUSTED "
                               "with a google.rpc.RetryInfo. A reload that keeps NAME and `per` keeps what was counted; open "
                               "streams keep the numbers that they began with, unless `on_reload` takes them along."},
    [SECTION_SERVICE] = {.name = "service",
                         .title = "NAME",
                         .example = "greet.GreetService",
                         .help =
                             "A gRPC service and who answers it: `pkg.Service`, `pkg.*` for every service of "
                             "a package and of those below it, `*` for the rest. The longest match wins."},
    [SECTION_METHOD] = {.name = "method",
                        .parent = SECTION_SERVICE,
                        .title = "NAME",
                        .example = "Greet",
                        .help = "Limits of one method, over those of its service."},
    [SECTION_ROUTE] = {.name = "route",
                       .is_many = true,
                       .help = "A path of its own for a method, beside `/pkg.Service/Method`. May stand any number of "
                               "times. Where several fit a path, the one that is more specific in the first part in "
                               "which they differ counts."},
    [SECTION_LIMITS] = {.name = "limits",
                        .help = "What one client, or all of them together, may cost. Those that say so can "
                                "also be set in a `service` and in a `method`, for the calls of it."},
    [SECTION_KEEPALIVE] = {.name = "keepalive",
                           .help = "PINGs: ours to silent clients, and how many of theirs are borne."},
    [SECTION_LOG] = {.name = "log", .help = "Log lines and access lines."},
};

static const char *const dialect_words[] = {"tidewire", "goa", NULL};
static const char *const automatic[] = {"auto", NULL};
static const char *const int64_words[] = {"number", "string", "exact", NULL};
static const char *const certificate_words[] = {"none", "optional", "required", NULL};
static const char *const tls_words[] = {"1.2", "1.3", NULL};
static const char *const balance_words[] = {"round-robin", "least-streams", "hash", NULL};
static const char *const unlimited[] = {"unlimited", NULL};
static const char *const direction_words[] = {"request", "response", "both", NULL};
static const char *const action_words[] = {"soft", "hard", NULL};
static const char *const connect_words[] = {"on-demand", "always", NULL};
static const char *const storage_words[] = {"file", "memory", NULL};

#define AT(type, member) .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define MS UINT64_C(1000000)
#define S (MS * 1000)
#define H (S * 3600)

const struct key keys[] = {
    {SECTION_FILE, "workers", VALUE_COUNT, .standard = "auto", .least = 1, .most = 256, .words = automatic,
     AT(config, workers),
     .help = "Threads that serve; each has its own loop, Lua state and connections. `auto` is one for each "
             "processor that the process may use. A change takes a restart."},
    {SECTION_FILE, "proto_path", VALUE_PATH, .is_list = true, .standard = ".", AT(config, proto_path),
     .help = "Folders in which `proto` and the imports of .proto files are looked up, the first match wins."},
    {SECTION_FILE, "proto", VALUE_TEXT, .is_list = true, .example = "\"greet.proto\"",
     .help = "The types of all services: .proto files, named as in an import below `proto_path`, or "
             "descriptor sets made by protoc (any other ending), relative to the file that names them."},
    {SECTION_FILE, "script_path", VALUE_PATH, .standard = ".", AT(config, script_path),
     .help = "The folder of handler scripts, and of what they `require`."},
    {SECTION_FILE, "health", VALUE_BOOLEAN, .standard = "on", AT(config, health),
     .help = "Answer grpc.health.v1.Health for all services."},
    {SECTION_FILE, "reflection", VALUE_BOOLEAN, .standard = "on", AT(config, reflection),
     .help = "Answer gRPC server reflection, v1 and v1alpha, from the loaded types."},
    {SECTION_FILE, "resolver", VALUE_TEXT, .is_list = true, .example = "\"192.0.2.53:53\"",
     AT(config, name_servers),
     .help = "Name servers for the targets of upstreams, as addresses. Without it: those of the system."},
    {SECTION_FILE, "node", VALUE_TEXT, .example = "\"a\"", AT(config, node),
     .help = "The id by which peers know this gateway: letters, digits, `.`, `-` and `_`, at most 64. No two gateways that "
             "are peers may have the same."},
    {SECTION_FILE, "drain_timeout", VALUE_DURATION, .standard = "30s", .most = 24 * H,
     AT(config, drain_timeout),
     .help = "After TERM, streams may go on for so long; what is left then ends UNAVAILABLE. 0: without limit, "
             "the process stays until the last stream has ended (or a second TERM)."},

    {SECTION_FILE, "files", VALUE_PATH, .example = "\"../docs/demo\"", AT(config, pages),
     .help = "A folder whose files browsers get by GET, `index.html` for `/`: for a page or two that goes with the services. "
             "At most 64 files of 64KiB, read when the configuration is; folders in it are not looked at."},

    {SECTION_LISTEN, "mode", VALUE_MODE, .standard = "0660", .example = "0660", .most = 0777,
     AT(config_listener, mode),
     .help = "Permissions of a unix socket's file, octal. Only for unix: addresses."},
    {SECTION_LISTEN, "backlog", VALUE_COUNT, .standard = "4096", .least = 1, .most = 65535,
     AT(config_listener, backlog),
     .help = "Connections that may wait to be accepted; the kernel's net.core.somaxconn bounds it too."},
    {SECTION_LISTEN, "proxy_from", VALUE_TEXT, .is_list = true, .example = "\"10.0.0.0/8\"",
     AT(config_listener, proxy_from),
     .help = "Networks, or `unix`, whose connections begin with a PROXY protocol header, version 1 or 2. "
             "Handlers and logs then see the address in it. Others are taken as they are."},

    {SECTION_LISTEN, "limit", VALUE_TEXT, .is_list = true, .example = "\"per-user\"",
     .help = "The `limit` sections that hold for all calls that come here, besides those of their services. One that is "
             "for each service is for this address as a whole."},

    {SECTION_LISTEN, "peers", VALUE_BOOLEAN, .standard = "off", AT(config_listener, takes_peers),
     .help = "Peers may connect here. Without `tls` whoever reaches the address can claim the id of any `peer`; with it "
             "only who has a certificate for the id, so that `client_certificate` is needed."},

    {SECTION_ADMIN, "mode", VALUE_MODE, .standard = "0660", .example = "0660", .most = 0777,
     AT(config_listener, mode),
     .help = "Permissions of a unix socket's file, octal. Only for unix: addresses."},

    {SECTION_TLS, "certificate", VALUE_PATH, .is_list = true, .example = "\"server.pem\"",
     AT(config_tls, certificates),
     .help = "PEM files, each a certificate with its chain. With several the client's server name (SNI) "
             "picks; the first is for all others."},
    {SECTION_TLS, "key", VALUE_PATH, .is_list = true, .example = "\"server.key\"", AT(config_tls, keys),
     .help = "PEM files: the private keys, in the order of the certificates."},
    {SECTION_TLS, "client_ca", VALUE_PATH, .example = "\"clients.pem\"", AT(config_tls, client_ca),
     .help = "PEM file of the authorities that client certificates must come from."},
    {SECTION_TLS, "client_certificate", VALUE_WORD, .standard = "none", .words = certificate_words,
     AT(config_tls, client_certificate),
     .help = "Ask clients for a certificate; `required` refuses those without one. Handlers see it as "
             "`stream.tls`."},
    {SECTION_TLS, "minimum", VALUE_WORD, .standard = "1.2", .words = tls_words,
     .help = "The oldest TLS version that is spoken."},

    {SECTION_CORS, "origins", VALUE_TEXT, .is_list = true, .example = "\"https://app.example.com\"",
     AT(config_cors, origins),
     .help = "Where the pages come from: `https://app.example.com`, `http://localhost:8080`, `https://*.example.com` (every "
             "name below it), `*` (everywhere). As browsers write them: in lower case, without a path. Required."},
    {SECTION_CORS, "headers", VALUE_TEXT, .is_list = true, .example = "\"authorization\"",
     AT(config_cors, headers),
     .help = "Metadata that pages may send, beyond the headers of gRPC-Web and Connect; `*` for any."},
    {SECTION_CORS, "max_age", VALUE_DURATION, .standard = "2h", .most = 24 * H, AT(config_cors, max_age),
     .help = "How long a browser may go without asking again, in whole seconds. Chrome takes 2h at most."},
    {SECTION_CORS, "credentials", VALUE_BOOLEAN, .standard = "off", AT(config_cors, credentials),
     .help = "Pages may send cookies and client certificates along. Not where `origins` has `*` or `null`. Without it the "
             "cookies of other origins' WebSockets, which browsers send unasked, are left out."},

    {SECTION_UPSTREAM, "target", VALUE_TEXT, .is_list = true, .example = "\"127.0.0.1:50052\"",
     AT(config_upstream, targets),
     .help = "Where the servers are: `host:port`, `[::1]:port`, `unix:path`. All addresses of a name are targets; "
             "names are looked up again when they age. Required."},
    {SECTION_UPSTREAM, "balance", VALUE_WORD, .standard = "round-robin", .words = balance_words,
     AT(config_upstream, balance),
     .help = "Which target gets a call: each in turn, the one with the fewest calls of this worker, or by a `hash` of "
             "the metadata `hash_key`: the same value goes to the same target as long as it is there."},
    {SECTION_UPSTREAM, "hash_key", VALUE_TEXT, .example = "\"x-user\"", AT(config_upstream, hash_key),
     .help = "The metadata whose value picks the target. Calls without it are spread over all."},
    {SECTION_UPSTREAM, "authority", VALUE_TEXT, .example = "\"numbers.example.com\"",
     AT(config_upstream, authority),
     .help = "The `:authority` of calls. Without it: the target as it is written here; for calls that are passed on, "
             "what the client has sent."},
    {SECTION_UPSTREAM, "wait", VALUE_BOOLEAN, .standard = "off", AT(config_upstream, waits),
     .help = "While no target can be reached calls wait, until their deadline, instead of ending UNAVAILABLE."},
    {SECTION_UPSTREAM, "connect_timeout", VALUE_DURATION, .standard = "20s", .least = 10 * MS, .most = H,
     AT(config_upstream, connect_timeout),
     .help = "How long connecting may take, up to the server's first words in HTTP/2."},
    {SECTION_UPSTREAM, "backoff", VALUE_DURATION, .standard = "1s", .least = 10 * MS, .most = H,
     AT(config_upstream, backoff),
     .help = "A target that could not be reached is left alone for so long; each further time for 1.6 times as long, "
             "a fifth more or less by chance."},
    {SECTION_UPSTREAM, "backoff_most", VALUE_DURATION, .standard = "120s", .least = 10 * MS, .most = 24 * H,
     AT(config_upstream, backoff_most), .help = "Where that growth ends."},
    {SECTION_UPSTREAM, "linger", VALUE_DURATION, .standard = "30s", .most = 8760 * H, AT(config_upstream, linger),
     .help = "A connection without calls is closed after this time; 0 at once."},
    {SECTION_UPSTREAM, "max_age", VALUE_DURATION, .standard = "0", .most = 8760 * H, AT(config_upstream, max_age),
     .help = "A connection of this age, a tenth more or less by chance, takes no more calls and is closed after its "
             "last; 0 never."},
    {SECTION_UPSTREAM, "streams", VALUE_COUNT, .standard = "unlimited", .least = 1, .most = 1000000,
     .words = unlimited, AT(config_upstream, streams),
     .help = "Calls on one connection at once; where the server allows fewer, that counts. Another connection is made "
             "when all have as many."},
    {SECTION_UPSTREAM, "connections", VALUE_COUNT, .standard = "8", .least = 1, .most = 10000,
     AT(config_upstream, connections), .help = "Connections of one worker to one target that take calls."},
    {SECTION_UPSTREAM, "waiting", VALUE_COUNT, .standard = "10000", .most = 10000000, AT(config_upstream, waiting),
     .help = "Calls of one worker that may wait for a connection; more end UNAVAILABLE."},

    {SECTION_UPSTREAM_TLS, "ca", VALUE_PATH, .example = "\"ca.pem\"", AT(config_upstream_tls, ca),
     .help = "PEM file of the authorities that the target's certificate must come from. Without it: the system's."},
    {SECTION_UPSTREAM_TLS, "certificate", VALUE_PATH, .example = "\"client.pem\"",
     AT(config_upstream_tls, certificate),
     .help = "PEM file: our own certificate, with its chain, for servers that ask."},
    {SECTION_UPSTREAM_TLS, "key", VALUE_PATH, .example = "\"client.key\"", AT(config_upstream_tls, key),
     .help = "PEM file: its private key."},
    {SECTION_UPSTREAM_TLS, "server_name", VALUE_TEXT, .example = "\"numbers.example.com\"",
     AT(config_upstream_tls, server_name),
     .help = "The name that is asked for (SNI) and that the certificate must carry. Without it: the target's host."},
    {SECTION_UPSTREAM_TLS, "verify", VALUE_BOOLEAN, .standard = "on", AT(config_upstream_tls, is_verified),
     .help = "Check the target's certificate and name. Switch it off for experiments only."},

    {SECTION_UPSTREAM_KEEPALIVE, "interval", VALUE_DURATION, .standard = "5m", .most = 8760 * H,
     AT(config_upstream_keepalive, interval), .help = "A target that was silent for so long gets a PING; 0 never."},
    {SECTION_UPSTREAM_KEEPALIVE, "timeout", VALUE_DURATION, .standard = "20s", .least = 10 * MS, .most = H,
     AT(config_upstream_keepalive, timeout),
     .help = "A PING that is not answered for so long ends the connection and, with UNAVAILABLE, its calls."},
    {SECTION_UPSTREAM_KEEPALIVE, "without_streams", VALUE_BOOLEAN, .standard = "off",
     AT(config_upstream_keepalive, without_streams), .help = "Also while there are no calls on the connection."},

    {SECTION_HEALTH, "service", VALUE_TEXT, .example = "\"tutorial.NumberService\"",
     AT(config_health_check, service), .help = "Whose health is asked for; without it the whole server's."},
    {SECTION_HEALTH, "interval", VALUE_DURATION, .standard = "10s", .least = 10 * MS, .most = 24 * H,
     AT(config_health_check, interval), .help = "From one check of a target to the next."},
    {SECTION_HEALTH, "timeout", VALUE_DURATION, .standard = "5s", .least = 10 * MS, .most = H,
     AT(config_health_check, timeout), .help = "A check that takes longer has failed."},
    {SECTION_HEALTH, "unhealthy", VALUE_COUNT, .standard = "2", .least = 1, .most = 1000,
     AT(config_health_check, unhealthy), .help = "So many checks in a row must fail before a target is left out."},
    {SECTION_HEALTH, "healthy", VALUE_COUNT, .standard = "1", .least = 1, .most = 1000,
     AT(config_health_check, healthy), .help = "So many must succeed before it is called again."},
    {SECTION_HEALTH, "watch", VALUE_BOOLEAN, .standard = "on", AT(config_health_check, watches),
     .help = "Also keep a Watch open, where the server has it: that it is not serving counts at once, and that it serves "
             "again as one check. The checks go on, since a server that hangs says nothing."},

    {SECTION_EJECT, "failures", VALUE_COUNT, .standard = "5", .least = 1, .most = 1000000,
     AT(config_ejection, failures), .help = "So many calls in a row that fail eject the target."},
    {SECTION_EJECT, "time", VALUE_DURATION, .standard = "30s", .least = 10 * MS, .most = 24 * H,
     AT(config_ejection, time),
     .help = "For how long; twice as long the second time in a row, three times the third, and so on."},
    {SECTION_EJECT, "most", VALUE_COUNT, .standard = "50", .least = 1, .most = 100, AT(config_ejection, most),
     .help = "Percent of the targets that may be ejected at once. The only target of an upstream never is."},
    {SECTION_EJECT, "silence", VALUE_DURATION, .standard = "1s", .most = 24 * H, AT(config_ejection, silence),
     .help = "A call whose deadline passes before anything of an answer has come says nothing about the target, as its "
             "caller may ask for little time; but it has failed when it has waited for at least so long, and the target "
             "has answered no other call of this worker meanwhile. 0: such calls never count."},

    {SECTION_RETRY, "attempts", VALUE_COUNT, .standard = "3", .least = 2, .most = 5, AT(config_retry, attempts),
     .help = "How often a call is made at most, the first time included."},
    {SECTION_RETRY, "on", VALUE_TEXT, .is_list = true, .standard = "UNAVAILABLE",
     .help = "The statuses that are worth another attempt."},
    {SECTION_RETRY, "backoff", VALUE_DURATION, .standard = "100ms", .least = MS, .most = H,
     AT(config_retry, backoff),
     .help = "The wait before the second attempt; twice as long before each further one, a fifth more or less by "
             "chance."},
    {SECTION_RETRY, "backoff_most", VALUE_DURATION, .standard = "5s", .least = MS, .most = H,
     AT(config_retry, backoff_most), .help = "Where that growth ends."},
    {SECTION_RETRY, "buffer", VALUE_SIZE, .standard = "64KiB", .least = KIB, .most = 16 * MIB,
     AT(config_retry, buffer),
     .help = "What a call keeps of what it has sent, to send it again. One that has sent more is not retried."},
    {SECTION_RETRY, "tokens", VALUE_COUNT, .standard = "unlimited", .words = unlimited, .least = 1, .most = 1000,
     AT(config_retry, tokens),
     .help = "Throttles retries while the servers fail: each attempt that fails so, or with a pushback that forbids "
             "another, takes one of so many tokens of its worker, and while no more than half of them are left nothing "
             "is retried. gRPC's retryThrottling.maxTokens."},
    {SECTION_RETRY, "refill", VALUE_COUNT, .standard = "10", .least = 1, .most = 100000, AT(config_retry, refill),
     .help = "Percent of a token that each call which succeeds gives back: 10 is a tokenRatio of 0.1."},

    {SECTION_PEER, "id", VALUE_TEXT, .example = "\"b\"", AT(config_upstream, peer.id),
     .help = "The peer's `node`. Without it: NAME."},
    {SECTION_PEER, "address", VALUE_TEXT, .example = "\"10.0.0.2:7000\"",
     .help = "The `listen` of it that takes peers: `host:port`, `[::1]:port`, `unix:path`. Without it we cannot connect, "
             "and calls wait for the peer to do it."},
    {SECTION_PEER, "connect", VALUE_WORD, .standard = "on-demand", .words = connect_words,
     AT(config_upstream, peer.connect),
     .help = "When we connect: when a call needs it, or `always`, again and again and whether there are calls or not: "
             "for the one of two that the other cannot reach."},
    {SECTION_PEER, "wait", VALUE_DURATION, .standard = "20s", .least = 10 * MS, .most = 24 * H,
     AT(config_upstream, peer.wait),
     .help = "How long a call may wait for a connection, from either side, before it ends UNAVAILABLE."},
    {SECTION_PEER, "connect_timeout", VALUE_DURATION, .standard = "20s", .least = 10 * MS, .most = H,
     AT(config_upstream, connect_timeout),
     .help = "How long connecting may take, up to the peer's word that it takes the connection."},
    {SECTION_PEER, "backoff", VALUE_DURATION, .standard = "1s", .least = 10 * MS, .most = H,
     AT(config_upstream, backoff),
     .help = "A peer that could not be reached is left alone for so long; each further time for 1.6 times as long, a "
             "fifth more or less by chance."},
    {SECTION_PEER, "backoff_most", VALUE_DURATION, .standard = "120s", .least = 10 * MS, .most = 24 * H,
     AT(config_upstream, backoff_most), .help = "Where that growth ends."},
    {SECTION_PEER, "linger", VALUE_DURATION, .standard = "30s", .most = 8760 * H, AT(config_upstream, linger),
     .help = "A connection that we have made, and that has no calls either way, is closed after this time; 0 at once. Never "
             "where `connect` is `always`."},
    {SECTION_PEER, "waiting", VALUE_COUNT, .standard = "10000", .most = 10000000, AT(config_upstream, waiting),
     .help = "Calls that may wait for a connection; more end UNAVAILABLE."},

    {SECTION_PEER_TLS, "ca", VALUE_PATH, .example = "\"ca.pem\"", AT(config_upstream_tls, ca),
     .help = "PEM file of the authorities that the peer's certificate must come from. Without it: the system's."},
    {SECTION_PEER_TLS, "certificate", VALUE_PATH, .example = "\"a.pem\"", AT(config_upstream_tls, certificate),
     .help = "PEM file: our own certificate, with its chain. Its name is our `node`."},
    {SECTION_PEER_TLS, "key", VALUE_PATH, .example = "\"a.key\"", AT(config_upstream_tls, key),
     .help = "PEM file: its private key."},
    {SECTION_PEER_TLS, "server_name", VALUE_TEXT, .example = "\"b.example.com\"",
     AT(config_upstream_tls, server_name),
     .help = "The name that is asked for (SNI) and that the peer's certificate must carry. Without it: the peer's id."},

    {SECTION_PEER_KEEPALIVE, "interval", VALUE_DURATION, .standard = "30s", .most = 8760 * H,
     AT(config_upstream_keepalive, interval), .help = "A peer that was silent for so long gets a PING; 0 never."},
    {SECTION_PEER_KEEPALIVE, "timeout", VALUE_DURATION, .standard = "20s", .least = 10 * MS, .most = H,
     AT(config_upstream_keepalive, timeout),
     .help = "A PING that is not answered for so long ends the connection and, with UNAVAILABLE, its calls."},

    {SECTION_SHARED_DICT, "size", VALUE_SIZE, .standard = "1MiB", .least = 16 * KIB, .most = 64 * GIB,
     AT(config_dict, size),
     .help = "All that it may take, its own table included: a short key and number take 64 bytes of it. Memory is used as "
             "it fills. When it is full, what was used least recently goes."},

    {SECTION_BUS, "url", VALUE_TEXT, .is_list = true, .example = "\"nats://127.0.0.1:4222\"", AT(config_bus, urls),
     .help = "The server, or several of a cluster: `nats://host`, `nats://host:port`; `tls://` where there is a `tls` section. "
             "Required."},
    {SECTION_BUS, "name", VALUE_TEXT, .example = "\"a\"", AT(config_bus, name),
     .help = "What the server's monitoring, and the log of other gateways, call this one. Without it: `node`, or the host's "
             "name."},
    {SECTION_BUS, "subject", VALUE_TEXT, .standard = "tidewire", AT(config_bus, subject),
     .help = "The first part of all subjects that are used: letters, digits, `-` and `_`, in words with dots between, at most "
             "64. Gateways with the same one share their topics."},
    {SECTION_BUS, "user", VALUE_TEXT, .example = "\"gateway\"", AT(config_bus, user), .help = "Who we are; with a `password`."},
    {SECTION_BUS, "password", VALUE_TEXT, .example = "\"secret\"", AT(config_bus, password), .help = "The user's."},
    {SECTION_BUS, "token", VALUE_TEXT, .example = "\"secret\"", AT(config_bus, token),
     .help = "Instead of user and password."},
    {SECTION_BUS, "credentials", VALUE_PATH, .example = "\"gateway.creds\"", AT(config_bus, credentials),
     .help = "Or a file with a JWT and its seed, as `nsc` makes it."},
    {SECTION_BUS, "nkey", VALUE_TEXT, .example = "\"UABC\"", AT(config_bus, nkey),
     .help = "Or a public key, which begins with `U`; with its `nkey_seed`."},
    {SECTION_BUS, "nkey_seed", VALUE_PATH, .example = "\"gateway.nk\"", AT(config_bus, nkey_seed),
     .help = "The file that holds the seed of it."},
    {SECTION_BUS, "connect_timeout", VALUE_DURATION, .standard = "2s", .least = 10 * MS, .most = H,
     AT(config_bus, connect_timeout), .help = "How long connecting to one of the servers may take."},
    {SECTION_BUS, "reconnect", VALUE_DURATION, .standard = "1s", .least = 10 * MS, .most = H, AT(config_bus, reconnect),
     .help = "From one attempt to connect to the next; up to half as long again by chance, so that not all come at once."},
    {SECTION_BUS, "ping", VALUE_DURATION, .standard = "5s", .least = 100 * MS, .most = H, AT(config_bus, ping),
     .help = "The server gets a PING so often; when two are not answered the connection is lost."},
    {SECTION_BUS, "heartbeat", VALUE_DURATION, .standard = "2s", .least = 100 * MS, .most = H, AT(config_bus, heartbeat),
     .help = "We tell the other gateways so often that we are there. Each tells its own; one that has missed three is "
             "forgotten, and its subscribers have left."},
    {SECTION_BUS, "messages", VALUE_COUNT, .standard = "65536", .least = 16, .most = 16777216, AT(config_bus, messages),
     .help = "Messages that may wait, in each direction: to be sent, while the server is away or slow, and to be handed to the "
             "workers. Beyond it those that are to be sent lose their oldest, and what comes in is dropped; both are counted."},
    {SECTION_BUS, "bytes", VALUE_SIZE, .standard = "64MiB", .least = 64 * KIB, .most = GIB, AT(config_bus, bytes),
     .help = "The same in bytes. A message that is larger stays in this process. So much is kept, too, of what other "
             "gateways tell of their subscribers; what is beyond it is dropped, and counted as `rejected`."},

    {SECTION_BUS_TLS, "ca", VALUE_PATH, .example = "\"ca.pem\"", AT(config_upstream_tls, ca),
     .help = "PEM file of the authorities that the server's certificate must come from. Without it: the system's."},
    {SECTION_BUS_TLS, "certificate", VALUE_PATH, .example = "\"a.pem\"", AT(config_upstream_tls, certificate),
     .help = "PEM file: our own certificate, with its chain, for servers that ask."},
    {SECTION_BUS_TLS, "key", VALUE_PATH, .example = "\"a.key\"", AT(config_upstream_tls, key),
     .help = "PEM file: its private key."},
    {SECTION_BUS_TLS, "server_name", VALUE_TEXT, .example = "\"nats.example.com\"", AT(config_upstream_tls, server_name),
     .help = "The name that the certificate must carry. Without it: the url's host."},
    {SECTION_BUS_TLS, "verify", VALUE_BOOLEAN, .standard = "on", AT(config_upstream_tls, is_verified),
     .help = "Check the server's certificate and name. Switch it off for experiments only."},

    {SECTION_BUS_STREAM, "stream", VALUE_TEXT, .standard = "TIDEWIRE", AT(config_bus_stream, name),
     .help = "The stream's name: letters, digits, `-` and `_`, at most 64. It must take the subjects `SUBJECT.k.*`."},
    {SECTION_BUS_STREAM, "storage", VALUE_WORD, .standard = "file", .words = storage_words, AT(config_bus_stream, storage),
     .help = "Where the server keeps it: what is in `memory` is gone when the server is."},
    {SECTION_BUS_STREAM, "replicas", VALUE_COUNT, .standard = "1", .least = 1, .most = 5, AT(config_bus_stream, replicas),
     .help = "How many servers of a cluster keep it."},
    {SECTION_BUS_STREAM, "messages", VALUE_COUNT, .standard = "10000", .least = 1, .most = 1048576,
     AT(config_bus_stream, messages),
     .help = "How many of a topic it keeps. Each gateway holds as many as the topic's `history` says, and no longer than its "
             "`ttl`, of those."},
    {SECTION_BUS_STREAM, "bytes", VALUE_SIZE, .standard = "1GiB", .least = MIB, .most = 1024 * GIB,
     AT(config_bus_stream, bytes), .help = "All that it keeps, of all topics; beyond it the oldest goes."},
    {SECTION_BUS_STREAM, "age", VALUE_DURATION, .standard = "0", .most = 8760 * H, AT(config_bus_stream, age),
     .help = "How long it keeps a message; 0: without limit."},
    {SECTION_BUS_STREAM, "patience", VALUE_DURATION, .standard = "1s", .least = 10 * MS, .most = H,
     AT(config_bus_stream, patience),
     .help = "A message that the stream has not given back after so long is handed to this gateway's subscribers without a "
             "position. It is stored when that can be done."},

    {SECTION_LIMIT, "per", VALUE_TEXT, .standard = "stream", .example = "connection", AT(config_limit, scope),
     .help = "What is counted together: a `stream`, a `connection`, a `service` (of all clients), a `peer` (the client's "
             "address; of IPv6 its first 64 bits), or `\"metadata NAME\"`: the streams whose requests have the same value of "
             "it. Those without any are counted together."},
    {SECTION_LIMIT, "messages_per_second", VALUE_RATE, .least = 1, .most = 1000000000 * RATE_ONE, .example = "100",
     AT(config_limit, messages_per_second), .help = "Messages a second: a token bucket. May have a fraction: 0.5."},
    {SECTION_LIMIT, "messages_burst", VALUE_COUNT, .least = 1, .most = 1000000000, .example = "20",
     AT(config_limit, messages_burst),
     .help = "Messages that may come at once, after a pause. Without it: those of one second, at least 1."},
    {SECTION_LIMIT, "bytes_per_second", VALUE_SIZE, .least = 1, .most = 64 * GIB, .example = "1MiB",
     AT(config_limit, bytes_per_second),
     .help = "Bytes of messages a second, as they are on the wire, with the 5 bytes before each. A message that is larger "
             "than the bucket takes all of it, and those behind it wait for the rest."},
    {SECTION_LIMIT, "bytes_burst", VALUE_SIZE, .least = 1, .most = 1024 * GIB, .example = "4MiB",
     AT(config_limit, bytes_burst), .help = "Bytes that may come at once. Without it: those of one second."},
    {SECTION_LIMIT, "messages", VALUE_COUNT, .least = 1, .most = UINT64_C(1000000000000), .example = "10000",
     AT(config_limit, messages),
     .help = "Messages in all, of a stream or of all streams of a connection. One more ends its stream, whatever `action` "
             "says."},
    {SECTION_LIMIT, "direction", VALUE_WORD, .standard = "request", .words = direction_words,
     AT(config_limit, direction),
     .help = "Whose messages: `request` what clients send, `response` what they are sent, or `both`, each by itself."},
    {SECTION_LIMIT, "action", VALUE_WORD, .standard = "soft", .words = action_words, AT(config_limit, action),
     .help = "At the end of messages_per_second or bytes_per_second: `soft` waits, nothing is lost (the sender's window "
             "closes behind what waits, and `send` waits); `hard` ends the stream."},
    {SECTION_LIMIT, "streams", VALUE_COUNT, .least = 1, .most = 100000000, .example = "100", AT(config_limit, streams),
     .help = "Streams that may be open at once. Another one is refused, RESOURCE_EXHAUSTED, before any handler or upstream "
             "hears of it."},
    {SECTION_LIMIT, "streams_per_second", VALUE_RATE, .least = 1, .most = 1000000000 * RATE_ONE, .example = "10",
     AT(config_limit, streams_per_second),
     .help = "Streams that may begin in a second. Those beyond it are refused in the same way, with grpc-retry-pushback-ms."},
    {SECTION_LIMIT, "streams_burst", VALUE_COUNT, .least = 1, .most = 1000000000, .example = "20",
     AT(config_limit, streams_burst),
     .help = "Streams that may begin at once. Without it: those of one second, at least 1."},
    {SECTION_LIMIT, "idle", VALUE_DURATION, .least = MS, .most = 8760 * H, .example = "30s", AT(config_limit, idle),
     .help = "A stream, whatever `per` says, on which no message was handled or sent for so long, in either direction, ends. "
             "PINGs, empty DATA frames and parts of a message do not count, and messages that wait for a slow handler or for "
             "a limit do."},
    {SECTION_LIMIT, "age", VALUE_DURATION, .least = MS, .most = 8760 * H, .example = "1h", AT(config_limit, age),
     .help = "A stream, whatever `per` says, that has been open for so long ends, behind what was sent on it."},
    {SECTION_LIMIT, "keys", VALUE_COUNT, .standard = "65536", .least = 1, .most = 16777216, AT(config_limit, keys),
     .help = "Of `per` peer and metadata: values that are counted at once, those with open streams and those whose buckets are not "
             "full again. A full bucket makes room for another; while there is none, further ones are counted together, as "
             "one."},

    {SECTION_SERVICE, "script", VALUE_TEXT, .is_list = true, .example = "\"greet.lua\"",
     .help = "The handler script, in `script_path`. With an `upstream`, its hooks are filters before that; several scripts "
             "filter one behind the other, responses the other way round."},
    {SECTION_SERVICE, "upstream", VALUE_TEXT, .example = "\"numbers\"", AT(config_service, upstream),
     .help = "The `upstream` or `peer` that the calls go to: through the hooks of the `script`, or, without one, untouched, headers, "
             "messages and trailers as they come. Types are not needed for that."},
    {SECTION_SERVICE, "jit", VALUE_BOOLEAN, .standard = "off", AT(config_service, is_jit),
     .help = "Let LuaJIT compile the script. A compiled hook that never returns cannot be stopped by "
             "`handler_time`."},
    {SECTION_SERVICE, "int64", VALUE_WORD, .standard = "number", .words = int64_words,
     AT(config_service, int64),
     .help = "How the script reads 64-bit integers: as a Lua `number` up to 2^53 and an exact int64 beyond, "
             "always as a `string` (for ids that are keys), or always `exact`. All three are accepted on the "
             "way out."},

    {SECTION_ROUTE, "http", VALUE_TEXT, .example = "\"GET /v1/{room=rooms/*}/messages\"", AT(config_route, http),
     .help = "The requests of HTTP that are calls of the method: `{field}` stands for one part of the path, `{field=rooms/*}` "
             "and `{field=**}` for several, and what is in their places is a field of the request; a word behind a colon, as in "
             "`/v1/{id}:cancel`, ends it. A method that has such a route is called by none of the paths that its option "
             "`google.api.http` names."},
    {SECTION_ROUTE, "websocket", VALUE_TEXT, .example = "\"GET /logs/{component}\"", AT(config_route, websocket),
     .help = "The path by which a WebSocket calls the method: `{name}` stands for one part, `{name=**}` for the rest. What "
             "is in their places is metadata of that name."},
    {SECTION_ROUTE, "method", VALUE_TEXT, .example = "\"logger.Logger/Monitor\"", AT(config_route, method),
     .help = "The method that is called: `pkg.Service/Method`."},
    {SECTION_ROUTE, "body", VALUE_TEXT, .example = "\"*\"", AT(config_route, body),
     .help = "With `http`: the field of the request that the body is, as JSON, or `*`: all of it. The rest stands in the query. "
             "Without it there is no body."},
    {SECTION_ROUTE, "response_body", VALUE_TEXT, .example = "\"messages\"", AT(config_route, response_body),
     .help = "With `http`: the field of the response that the answer is. Without it, all of it is."},
    {SECTION_ROUTE, "event_id", VALUE_TEXT, .example = "\"position\"", AT(config_route, event_id),
     .help = "With `http`: the field of the response that is the `id` of its Server-Sent Event. A client that comes back says "
             "the last one as the metadata `last-event-id`."},
    {SECTION_ROUTE, "dialect", VALUE_WORD, .standard = "tidewire", .words = dialect_words, AT(config_route, dialect),
     .help = "With `websocket`: what is spoken there: what is spoken at `/pkg.Service/Method` too, or what clients that Goa has generated "
             "expect of the design's endpoint."},

    {SECTION_LIMITS, "message", VALUE_SIZE, .is_per_call = true, .standard = "4MiB", .least = 1, .most = GIB,
     AT(config_limits, message),
     .help = "The largest message, after decompression. A larger one ends its call RESOURCE_EXHAUSTED. Of a service that is "
             "passed on it holds, both ways, only where that section says so, and for messages as they are on the wire."},
    {SECTION_LIMITS, "limit", VALUE_TEXT, .is_list = true, .is_per_call = true, .example = "\"per-user\"",
     .help = "The `limit` sections that hold; all of them do. What a method names stands instead of its service's, and "
             "that instead of what is named here. `none`: none of them."},
    {SECTION_LIMITS, "headers", VALUE_SIZE, .standard = "64KiB", .least = KIB, .most = 16 * MIB,
     AT(config_limits, headers),
     .help = "The largest header list of a request: names, values and 32 bytes for each field (RFC 9113)."},
    {SECTION_LIMITS, "streams_per_connection", VALUE_COUNT, .standard = "1000", .least = 1, .most = 1000000,
     AT(config_limits, streams_per_connection), .help = "Streams that one connection may have open at once."},
    {SECTION_LIMITS, "connections", VALUE_COUNT, .standard = "10000", .least = 1, .most = 10000000,
     AT(config_limits, connections), .help = "Connections that may be open at once, over all addresses."},
    {SECTION_LIMITS, "idle", VALUE_DURATION, .standard = "0", .most = 8760 * H, AT(config_limits, idle),
     .help = "A connection without streams is closed after this time; 0 never (of HTTP/1.1: after 75s)."},
    {SECTION_LIMITS, "buffered_per_stream", VALUE_SIZE, .is_per_call = true, .standard = "256KiB",
     .least = KIB, .most = GIB, AT(config_limits, buffered_per_stream),
     .help = "What may wait in each direction of a stream, besides its one unfinished message. At the bound "
             "the peer's window stays closed, and `send` waits. Calls that are passed on have no messages: for them "
             "it is all that may wait, and 1MiB where the file does not say."},
    {SECTION_LIMITS, "buffered_per_connection", VALUE_SIZE, .standard = "32MiB", .least = 64 * KIB,
     .most = 64 * GIB, AT(config_limits, buffered_per_connection),
     .help = "What may wait on all streams of a client's connection together, unfinished messages included, and on the "
             "calls to upstreams that are made for them, in both directions. Calls that scripts make for no client have "
             "as much for each upstream. A peer's connection, which carries the streams of many clients, has its share of "
             "`buffered_total` instead."},
    {SECTION_LIMITS, "buffered_total", VALUE_SIZE, .standard = "1GiB", .least = MIB, .most = 1024 * GIB,
     AT(config_limits, buffered_total),
     .help = "What may wait in the whole process. Each worker has its equal share."},
    {SECTION_LIMITS, "stalled", VALUE_DURATION, .standard = "10s", .least = 100 * MS, .most = 24 * H,
     AT(config_limits, stalled),
     .help = "While a bound is reached, a stream that buffers and makes no progress for so long ends "
             "RESOURCE_EXHAUSTED. So does, at any time, a stream that has ended and whose client takes nothing "
             "of the rest for so long, and so does the answer to whoever asks for one of the `files`."},
    {SECTION_LIMITS, "topics", VALUE_COUNT, .standard = "100000", .least = 1, .most = 100000000,
     AT(config_limits, topics), .help = "Topics that may live at once."},
    {SECTION_LIMITS, "history", VALUE_SIZE, .standard = "256MiB", .least = 1 << 20, .most = UINT64_C(1) << 40,
     AT(config_limits, history),
     .help = "What the histories of all topics may keep; at the bound a topic that keeps one more lets go of its oldest."},
    {SECTION_LIMITS, "list_elements", VALUE_COUNT, .is_per_call = true, .standard = "100000", .least = 1,
     .most = 100000000, AT(config_limits, list_elements),
     .help = "Elements of one list or map that a script reads."},
    {SECTION_LIMITS, "handler_time", VALUE_DURATION, .is_per_call = true, .standard = "1s", .least = 10 * MS,
     .most = H, AT(config_limits, handler_time),
     .help = "Processor time that a handler may use between two waits; one that needs more is stopped, and "
             "its call ends INTERNAL."},
    {SECTION_LIMITS, "handler_memory", VALUE_SIZE, .standard = "256MiB", .least = MIB, .most = 64 * GIB,
     AT(config_limits, handler_memory),
     .help = "Memory that a handler may add to its worker's Lua state between two waits, garbage aside; one that "
             "needs more is stopped, and its call ends INTERNAL."},

    {SECTION_KEEPALIVE, "interval", VALUE_DURATION, .standard = "2h", .most = 8760 * H,
     AT(config, keepalive.interval),
     .help = "A client that was silent for so long gets a PING (of HTTP/1.1: a probe of TCP); 0 never."},
    {SECTION_KEEPALIVE, "timeout", VALUE_DURATION, .standard = "20s", .least = S, .most = H,
     AT(config, keepalive.timeout), .help = "A PING that is not answered for so long ends the connection."},
    {SECTION_KEEPALIVE, "least_interval", VALUE_DURATION, .standard = "5s", .most = 24 * H,
     AT(config, keepalive.least_interval),
     .help = "A client's PINGs that come faster are strikes; the third ends the connection with "
             "ENHANCE_YOUR_CALM."},
    {SECTION_KEEPALIVE, "without_streams", VALUE_BOOLEAN, .standard = "on",
     AT(config, keepalive.without_streams),
     .help = "Clients may send PINGs while they have no stream open; when off, such PINGs must be two hours "
             "apart."},

    {SECTION_LOG, "level", VALUE_WORD, .standard = "info", .words = log_level_names, AT(config, log.level),
     .help = "The least level that is written. The environment variable TIDEWIRE_LOG_LEVEL goes before it."},
    {SECTION_LOG, "format", VALUE_WORD, .standard = "text", .words = log_format_names, AT(config, log.format),
     .help =
         "Lines for people or for programs. The environment variable TIDEWIRE_LOG_FORMAT goes before it."},
    {SECTION_LOG, "access", VALUE_BOOLEAN, .standard = "on", AT(config, log.access),
     .help = "A line for each call when it ends, and one when it has been open for a second."},
    {SECTION_LOG, "file", VALUE_PATH, .example = "\"/var/log/tidewire.log\"", AT(config, log.file),
     .help = "Where lines go; without it to standard error. USR1 and HUP open it anew. A change takes a restart."},
};
const size_t key_count = sizeof keys / sizeof *keys;

static const struct later later_keys[] = {
    {SECTION_SERVICE, "route"},
};

bool key_comes_later(enum section_id section, const char *name) {
    for (size_t i = 0; i < sizeof later_keys / sizeof *later_keys; i++)
        if (later_keys[i].section == section && !strcmp(later_keys[i].name, name)) return true;
    return false;
}

bool key_is_in(const struct key *key, enum section_id section) {
    return key->section == section ||
           (key->is_per_call && (section == SECTION_SERVICE || section == SECTION_METHOD));
}

const struct key *key_find(enum section_id section, const char *name) {
    for (size_t i = 0; i < key_count; i++)
        if (key_is_in(&keys[i], section) && !strcmp(keys[i].name, name)) return &keys[i];
    return NULL;
}

int section_find(enum section_id parent, const char *name) {
    for (int id = SECTION_FILE + 1; id < SECTION_COUNT; id++)
        if (sections[id].parent == parent && !strcmp(sections[id].name, name)) return id;
    return -1;
}

const char *key_nearest(enum section_id section, const char *name) {
    const char *names[64 + SECTION_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < key_count; i++)
        if (key_is_in(&keys[i], section)) names[count++] = keys[i].name;
    for (int id = SECTION_FILE + 1; id < SECTION_COUNT; id++)
        if (sections[id].parent == section) names[count++] = sections[id].name;
    names[count] = NULL;
    return error_nearest(name, names);
}
