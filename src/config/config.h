/* config/config.h - the file, read and checked, as one constant struct.
 *
 * Everything is owned by the struct and lives until config_free(). Sizes are bytes, durations nanoseconds, and 0
 * means "no limit" where the key's help says so. Paths are already relative to nothing: absolute, or resolved
 * against the file that named them. */
#ifndef TIDEWIRE_CONFIG_CONFIG_H
#define TIDEWIRE_CONFIG_CONFIG_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"

struct buffer;

/* A rate of 1 a second. */
#define RATE_ONE UINT64_C(1000000)

/* A `limit` section: how many, how fast, how long. 0: no such bound. */
struct config_limit {
    char *name;
    char *scope; /* as written: "stream", "metadata x-user-id" */
    enum { LIMIT_PER_STREAM, LIMIT_PER_CONNECTION, LIMIT_PER_SERVICE, LIMIT_PER_PEER, LIMIT_PER_METADATA } per;
    const char *metadata; /* in `scope`; of LIMIT_PER_METADATA */
    enum { LIMIT_REQUEST, LIMIT_RESPONSE, LIMIT_BOTH } direction;
    enum { LIMIT_SOFT, LIMIT_HARD } action;
    uint64_t messages_per_second, streams_per_second; /* in RATE_ONE */
    uint64_t bytes_per_second;
    uint64_t messages_burst, bytes_burst, streams_burst; /* not 0 where the rate is not */
    uint64_t messages; /* of a stream or connection, in all */
    uint64_t streams;  /* open at once */
    uint64_t idle, age; /* of a stream */
    uint64_t keys;      /* buckets at once */
    const char *file;
    int line;
};

struct config_limits {
    uint64_t message;                 /* largest message, after decompression */
    uint64_t headers;                 /* largest header list of a request: names + values + 32 a field */
    uint64_t streams_per_connection;  /* advertised and enforced */
    uint64_t connections;             /* open at once, in the process */
    uint64_t idle;                    /* a connection without streams is closed after this; 0 never */
    uint64_t buffered_per_stream, buffered_per_connection, buffered_total;
    uint64_t stalled;                 /* a stream that buffers and makes no progress ends after this */
    uint64_t topics;                  /* live topic names */
    uint64_t history;                 /* bytes that topics keep, all together */
    uint64_t list_elements;           /* of one list or map that a script reads */
    uint64_t handler_time;            /* thread CPU that a hook may use between two waits */
    uint64_t handler_memory;          /* what it may add to its worker's Lua memory meanwhile */
    const struct config_limit *const *named; /* those that apply; ended by NULL; NULL: none */
};

struct config_tls {
    char **certificates, **keys; /* PEM files, pairs; ended by NULL; the first is the default */
    char *client_ca;             /* PEM file or NULL */
    enum { CLIENT_CERTIFICATE_NONE, CLIENT_CERTIFICATE_OPTIONAL, CLIENT_CERTIFICATE_REQUIRED } client_certificate;
    bool is_tls13_only;
};

struct config_cors {
    char **origins; /* ended by NULL; at least one */
    char **headers; /* ended by NULL; may be NULL */
    uint64_t max_age;
    bool credentials;
};

struct config_listener {
    char *address;      /* as written: "127.0.0.1:50051", "[::]:8443", "unix:/run/x.sock" */
    char *host;         /* NULL for a unix socket */
    char *port;
    char *path;         /* of a unix socket, or NULL */
    uint32_t mode;      /* of a unix socket */
    uint32_t backlog;
    char **proxy_from;  /* networks that speak the PROXY protocol to us ("10.0.0.0/8", "unix"); ended by NULL; may be NULL */
    struct config_tls *tls; /* NULL: plaintext */
    struct config_cors *cors; /* NULL: pages of other origins cannot call */
    bool takes_peers;
    const struct config_limit *const *named; /* limits for all who connect here; ended by NULL; NULL: none */
    int line;
};

struct config_upstream_tls {
    char *ca;                /* PEM file, or NULL: the system's */
    char *certificate, *key; /* our own PEM files, or NULL */
    char *server_name;       /* SNI, and the name that the certificate must carry; NULL: the target's host */
    bool is_verified;
};

struct config_health_check {
    char *service; /* NULL: the whole server */
    uint64_t interval, timeout;
    uint32_t unhealthy, healthy; /* so many checks in a row change the verdict */
    bool watches;
};

struct config_ejection {
    uint32_t failures; /* calls in a row */
    uint64_t time;     /* out of service at first; each time again so much longer */
    uint32_t most;     /* percent of the targets */
    uint64_t silence;  /* without an answer for so long, up to its deadline, a call has failed; 0: never */
};

struct config_retry {
    uint32_t attempts; /* the first included */
    uint32_t on;       /* statuses: 1 << number */
    uint64_t backoff, backoff_most;
    uint64_t buffer; /* of what was sent, for sending it again */
    uint32_t tokens; /* 0: retries are not throttled */
    uint32_t refill; /* percent of a token, for each call that succeeds */
};

struct config_upstream_keepalive {
    uint64_t interval, timeout; /* 0 never */
    bool without_streams;
};

/* What makes an upstream a peer: another gateway, with which we share one connection. */
struct config_peer {
    char *id;   /* NULL: it is an ordinary upstream */
    char *node; /* our own id */
    enum { CONNECT_ON_DEMAND, CONNECT_ALWAYS } connect;
    uint64_t wait; /* of a call, for a connection */
};

/* Counted, so that an upstream that a reload leaves alone keeps it when the config is gone. */
struct config_upstream {
    char *name;
    char **targets; /* "host:port", "[v6]:port", "unix:/path"; ended by NULL, at least one; of a peer: one or
                     * none, when only it can connect */
    enum { BALANCE_ROUND_ROBIN, BALANCE_LEAST_STREAMS, BALANCE_HASH } balance;
    char *hash_key;  /* of the request's metadata; only with BALANCE_HASH */
    char *authority; /* NULL: the target as it is written */
    bool waits;      /* calls wait while no target can be reached, instead of failing */
    uint64_t connect_timeout; /* until the peer's SETTINGS */
    uint64_t backoff, backoff_most;
    uint64_t linger, max_age; /* max_age 0: none */
    uint64_t streams;         /* of one connection; 0: as many as the peer allows */
    uint32_t connections;     /* to one target, of one worker */
    uint32_t waiting;         /* calls that may wait for a connection, in one worker */
    struct config_upstream_keepalive keepalive;
    struct config_peer peer;
    struct config_upstream_tls *tls;     /* NULL: plaintext */
    struct config_health_check *health;  /* NULL: none */
    struct config_ejection *ejection;    /* NULL: none */
    struct config_retry *retry;          /* NULL: only what the server has not seen */
    char *fingerprint; /* equal for upstreams that are the same in everything, contents of certificate files included */
    atomic_uint references;
};

/* What keeps topics' histories for all gateways. */
struct config_bus_stream {
    char *name;
    enum { STORAGE_FILE, STORAGE_MEMORY } storage;
    uint32_t replicas, messages;
    uint64_t bytes, age; /* age 0: no limit */
    uint64_t patience;
};

/* Counted, like upstreams. */
struct config_bus {
    char **urls; /* "nats://host:port", "tls://host:port"; ended by NULL, at least one */
    char *name, *subject;
    char *user, *password, *token, *credentials, *nkey, *nkey_seed; /* NULL: not so */
    uint64_t connect_timeout, reconnect, ping, heartbeat;
    uint32_t messages; /* that may wait, in each direction; and their bytes */
    uint64_t bytes;
    struct config_upstream_tls *tls;  /* NULL: plaintext */
    struct config_bus_stream *stream; /* NULL: none */
    char *fingerprint;                /* as an upstream's */
    atomic_uint references;
};

struct config_dict {
    char *name;
    uint64_t size;
};

struct config_method {
    char *name;
    struct config_limits limits; /* the service's, with the method's own over them */
};

struct config_service {
    char *name;      /* "pkg.Service", "pkg.*" or "*" */
    char *script;    /* resolved path; NULL: passed through to the upstream */
    char *script_name; /* as written, for logs */
    char **more_scripts, **more_script_names; /* those that filter behind it, ended by NULL; NULL: there are none */
    char *upstream;  /* the name of one of config.upstreams, or NULL */
    bool is_jit;
    enum { INT64_NUMBER, INT64_STRING, INT64_EXACT } int64; /* how scripts read 64-bit integers */
    struct config_limits limits;
    uint64_t passed_message; /* limits.message of a service that is passed on, where its section says that; else 0 */
    struct config_method *methods;
    size_t method_count;
    const char *file;
    int line;
};

/* A path of its own for a method. */
struct config_route {
    char *websocket; /* "GET /path"; or NULL */
    char *http;      /* "GET /path"; or NULL: one of the two is there */
    char *method;    /* "pkg.Service/Method" */
    char *body, *response_body, *event_id; /* with `http`: names of fields; or NULL */
    enum { DIALECT_TIDEWIRE, DIALECT_GOA } dialect;
    const char *file;
    int line;
};

struct config {
    const char *file; /* the main one */
    char **files;     /* with those that it includes; ended by NULL */
    uint32_t workers;       /* resolved: at least 1 */
    char **proto_path;      /* folders; ended by NULL */
    char **proto;           /* .proto files as protoc looks them up below proto_path, and paths of descriptor sets; ended by NULL */
    char *script_path;      /* a folder */
    struct config_listener *listeners;
    size_t listener_count;
    struct config_listener *admins; /* for who watches the gateway: addresses alone */
    size_t admin_count;
    char *pages;         /* a folder; NULL: none are shown */
    char *node;          /* our id for peers; NULL: none */
    char **name_servers; /* "127.0.0.1:53"; ended by NULL; NULL: the system's */
    struct config_upstream **upstreams; /* with the peers */
    size_t upstream_count;
    struct config_bus *bus; /* NULL: none */
    struct config_dict *dicts;
    size_t dict_count;
    struct config_service *services;
    size_t service_count;
    struct config_limit *named_limits;
    size_t named_limit_count;
    const struct config_limit ***limit_lists; /* what the `named` of sections point to */
    size_t limit_list_count;
    struct config_route *routes;
    size_t route_count;
    struct config_limits limits;
    struct {
        enum log_level level;
        enum log_format format;
        bool access;
        char *file; /* NULL: standard error */
    } log;
    bool health, reflection; /* the gateway's own services */
    uint64_t drain_timeout;
    struct {
        uint64_t interval, timeout; /* PINGs that we send to a silent peer; 0 never */
        uint64_t least_interval;    /* a client's PINGs faster than this are strikes */
        bool without_streams;
    } keepalive;
};

/* NULL and an error text (`file:line: error: …`) when anything in the file is wrong. Main thread only. */
struct config *config_read(const char *file, struct error *error);
/* As config_read(), but with this for the text of `file`, whose folder relative paths still start from. */
struct config *config_read_text(const char *file, const char *text, size_t length, struct error *error);
void config_free(struct config **config);
/* The service that owns `name` ("pkg.Service"): the longest match; NULL when there is none. */
const struct config_service *config_find_service(const struct config *config, const char *name);
/* NULL when there is none of that name. */
struct config_upstream *config_find_upstream(const struct config *config, const char *name);
struct config_upstream *config_upstream_ref(struct config_upstream *upstream); /* any thread */
void config_upstream_unref(struct config_upstream **upstream);
struct config_bus *config_bus_ref(struct config_bus *bus); /* any thread */
void config_bus_unref(struct config_bus **bus);
/* The limits of one method of a service; the service's own when the method has none. */
const struct config_limits *config_method_limits(const struct config_service *service, const char *method);
/* A commented file with every key at its default (`tidewire config default`), and the reference page. */
void config_write_default(struct buffer *out);
void config_write_reference(struct buffer *out);
const char *config_versions(void); /* "libconfuse 3.3" */
#endif
