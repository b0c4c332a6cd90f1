#include "config/config.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"

#include "check.h"

/* A folder of its own is the working directory of all tests: t.conf stands for the configuration. */
static char folder[] = "/tmp/tidewire_config_test_XXXXXX";

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(name, "w");
    CHECK(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void make_folder(void) {
    CHECK(mkdtemp(folder) != NULL && chdir(folder) == 0);
    CHECK(mkdir("scripts", 0755) == 0 && mkdir("proto", 0755) == 0 && mkdir("conf.d", 0755) == 0);
    write_file("scripts/greet.lua", "return {}");
    write_file("scripts/chat.lua", "return {}");
    write_file("proto/greet.proto", "syntax = \"proto3\";");
    write_file("types.pb", "");
    write_file("server.pem", "");
    write_file("server.key", "");
    write_file("other.pem", "");
    write_file("other.key", "");
    write_file("ca.pem", "");
}

static void remove_folder(void) {
    char command[100];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    CHECK(chdir("/") == 0 && system(command) == 0);
}

static struct config *read_text(const char *text) {
    struct error error = {""};
    struct config *config = config_read_text("t.conf", text, strlen(text), &error);
    if (!config) fprintf(stderr, "unexpected: %s\n", error.text);
    CHECK(config != NULL);
    return config;
}

/* --- every fault is told with its line --- */

#define LISTEN "listen \"127.0.0.1:0\" { }\n"
#define GREET "proto_path = proto  proto = greet.proto  script_path = scripts\n" LISTEN
#define TLS_OPEN "listen \"127.0.0.1:0\" {\ntls {\n"

static const struct {
    const char *text, *error;
} faults[] = {
    /* words and signs */
    {"workers = \"2\n", "t.conf:1: error: this line's string is never closed"},
    {"\nworkers = 'two", "t.conf:2: error: this line's string is never closed"},
    {"log { file = \"a\\q\" }",
     "t.conf:1: error: a backslash in double quotes may be followed by n r t \" \\ $ only"},
    {"\n\n/* no end", "t.conf:3: error: this comment is never closed"},
    {LISTEN "limits {\n message = 4MiB\n", "t.conf:2: error: this `{` is never closed"},
    {LISTEN "}\n", "t.conf:2: error: this `}` closes nothing"},
    {"workers (2)",
     "t.conf:1: error: parentheses belong to include(\"file\") only; a text that has them needs quotes"},
    {"workers = ${TIDEWIRE_TEST_UNSET}",
     "t.conf:1: error: the environment variable TIDEWIRE_TEST_UNSET is not set: set it, or write "
     "${TIDEWIRE_TEST_UNSET:-default}"},
    {"workers = ${1}", "t.conf:1: error: `${1}` is not ${NAME} or ${NAME:-default}"},
    {"workers = ${HOME:=x}", "t.conf:1: error: `${HOME:=x}` is not ${NAME} or ${NAME:-default}"},
    {"workers = ${HOME\n}", "t.conf:1: error: `${` is never closed by `}`"},
    {"# a\n// b\n/* c\n\n*/ /* d */\nbad = ''\n", "t.conf:6: error: the file has no key `bad` (did you mean \"bus\"?)"},
    /* statements */
    {LISTEN "workers 2", "t.conf:2: error: `workers` is a key: workers = …"},
    {LISTEN "workers = \nhealth = on", "t.conf:2: error: `workers` has no value"},
    {LISTEN "workers = = 2", "t.conf:2: error: unexpected token '='"},
    {LISTEN "workers = { 2 }", "t.conf:2: error: `workers` takes one value, not a list"},
    {LISTEN "workers += 2", "t.conf:2: error: attempt to append to non-list option 'workers'"},
    {LISTEN "= 2", "t.conf:2: error: unexpected token '='"},
    {LISTEN "limits \"all\" { }", "t.conf:2: error: missing opening brace for section 'limits'"},
    {"listen { }", "t.conf:1: error: missing title for section 'listen'"},
    {LISTEN "proto = { a b }", "t.conf:2: error: unexpected token 'b'"},
    {LISTEN "proto = { , }", "t.conf:2: error: unexpected token ','"},
    {LISTEN "workers =", "t.conf:2: error: premature end of file"},
    /* names */
    {LISTEN "\nlimits {\n mesage = 4MiB\n}",
     "t.conf:4: error: `limits` has no key `mesage` (did you mean \"message\"?)"},
    {LISTEN "wrokers = 2", "t.conf:2: error: the file has no key `wrokers` (did you mean \"workers\"?)"},
    {"lisen \"127.0.0.1:0\" { }",
     "t.conf:1: error: the file has no section `lisen` (did you mean \"listen\"?)"},
    {LISTEN "zzzzzz = 1", "t.conf:2: error: the file has no key `zzzzzz`"},
    {LISTEN "limits = 5", "t.conf:2: error: `limits` is a section: limits { … }"},
    {LISTEN "workers { }", "t.conf:2: error: `workers` is a key: workers = …"},
    {LISTEN "message = 5MiB", "t.conf:2: error: `message` belongs in limits { … }"},
    {GREET "service a.B { script = greet.lua\n topics = 5 }",
     "t.conf:4: error: `topics` belongs in limits { … }"},
    {LISTEN "shared_dict tokens { size = 1KiB }",
     "t.conf:2: error: `size` = 1KiB is outside of its range, 16KiB to 64GiB"},
    {LISTEN "shared_dict \"a b\" { }",
     "t.conf:2: error: \"a b\" is not the name of a `shared_dict`: letters, digits, \".\", \"-\" and \"_\", at most 64"},
    {LISTEN "shared_dict a { }\nshared_dict a { }", "t.conf:3: error: `shared_dict \"a\"` is already in line 2"},
    {LISTEN "route { method = a.B/C }", "t.conf:2: error: `route` needs a path: either `http` or `websocket`"},
    {LISTEN "route { method = a.B/C websocket = \"GET /a\" http = \"GET /a\" }",
     "t.conf:2: error: `route` needs a path: either `http` or `websocket`"},
    {LISTEN "route { method = a.B/C\nhttp = \"get /a\" }", "t.conf:3: error: `http` is \"GET /path\", not \"get /a\""},
    {LISTEN "route { method = a.B/C\nhttp = /a }", "t.conf:3: error: `http` is \"GET /path\", not \"/a\""},
    {LISTEN "route { method = a.B/C http = \"GET /a\"\ndialect = goa }",
     "t.conf:3: error: `dialect` is for `websocket`, not for `http`"},
    {LISTEN "route { method = a.B/C websocket = \"GET /a\"\nbody = a }",
     "t.conf:3: error: `body` is for `http`, not for `websocket`"},
    {LISTEN "route { websocket = \"GET /a\" }", "t.conf:2: error: `route` needs a `method`"},
    {LISTEN "route { method = a.B/C\nwebsocket = /a }", "t.conf:3: error: `websocket` is \"GET /path\", not \"/a\""},
    {LISTEN "route { websocket = \"GET /a\"\nmethod = a.B.C }",
     "t.conf:3: error: `method` is \"pkg.Service/Method\", not \"a.B.C\""},
    {LISTEN "route { websocket = \"GET /a\" method = a.B/C }\nroute {\nwebsocket = \"GET /b\" method = a.B/C dialect = go }",
     "t.conf:4: error: `dialect` = \"go\" is unknown (did you mean \"goa\"?)"},
    {LISTEN "admin \"127.0.0.1\" { }", "t.conf:2: error: \"127.0.0.1\" is not an address: HOST:PORT, [V6]:PORT, *:PORT or unix:PATH"},
    {"listen \"127.0.0.1:1\" { }\nadmin \"127.0.0.1:1\" { }",
     "t.conf:2: error: `admin \"127.0.0.1:1\"` is the same address as \"127.0.0.1:1\" in line 1"},
    {LISTEN "admin \"127.0.0.1:1\" { }\nadmin \"127.0.0.1:1\" { }",
     "t.conf:3: error: `admin \"127.0.0.1:1\"` is already in line 2"},
    {LISTEN "admin \"127.0.0.1:1\" {\n mode = 0600 }", "t.conf:3: error: `mode` is for unix sockets only"},
    {LISTEN "admin \"127.0.0.1:1\" {\n tls { } }", "t.conf:3: error: `admin` has no section `tls`"},
    /* named limits */
    {LISTEN "limits {\nmessages_per_second = 5 }",
     "t.conf:3: error: `messages_per_second` belongs in limit \"NAME\" { … }; where that is to hold, write limit = \"NAME\""},
    {GREET "service a.B { script = greet.lua\n idle = 5s }",
     "t.conf:4: error: `idle` belongs in limits { … }, or in limit \"NAME\" { … }"},
    {LISTEN "limit a {\nmesages_per_second = 5 }",
     "t.conf:3: error: `limit` has no key `mesages_per_second` (did you mean \"messages_per_second\"?)"},
    {LISTEN "limit a { messages_per_second = 5\nburst = 2 }",
     "t.conf:3: error: `limit` has no key `burst`: there are messages_burst, bytes_burst and streams_burst"},
    {LISTEN "limit a { messages_per_second = fast }",
     "t.conf:2: error: `messages_per_second` is a number such as 100 or 0.5: \"fast\" is not"},
    {LISTEN "limit a { messages_per_second = 1. }",
     "t.conf:2: error: `messages_per_second` is a number such as 100 or 0.5: \"1.\" is not"},
    {LISTEN "limit a { messages_per_second = -1 }",
     "t.conf:2: error: `messages_per_second` is a number such as 100 or 0.5: \"-1\" is not"},
    {LISTEN "limit a { messages_per_second = 0.0000001 }",
     "t.conf:2: error: `messages_per_second` is a number such as 100 or 0.5: \"0.0000001\" is not"},
    {LISTEN "limit a { messages_per_second = 0 }",
     "t.conf:2: error: `messages_per_second` = 0 is outside of its range, 0.000001 to 1000000000"},
    {LISTEN "limit a { messages_per_second = 99999999999999999999 }",
     "t.conf:2: error: `messages_per_second` is a number such as 100 or 0.5: \"99999999999999999999\" is not"},
    {LISTEN "limit a { messages_per_second = 18446744073709551615 }",
     "t.conf:2: error: `messages_per_second` = 18446744073709551615 is outside of its range, 0.000001 to 1000000000"},
    {LISTEN "limit a { }", "t.conf:2: error: `limit \"a\"` limits nothing"},
    {LISTEN "limit none { age = 1s }",
     "t.conf:2: error: \"none\" is not the name of a `limit`: letters, digits, \".\", \"-\" and \"_\", at most 64, and not none"},
    {LISTEN "limit a {\nper = conection messages = 5 }",
     "t.conf:3: error: `per` = \"conection\" is unknown (did you mean \"connection\"?); there are stream, connection, service, "
     "peer and \"metadata NAME\""},
    {LISTEN "limit a { per = metadata streams = 5 }",
     "t.conf:2: error: `per` = \"metadata\" names no metadata: write \"metadata x-user-id\", in lower case"},
    {LISTEN "limit a { per = \"metadata X-User\" streams = 5 }",
     "t.conf:2: error: `per` = \"metadata X-User\" names no metadata: write \"metadata x-user-id\", in lower case"},
    {LISTEN "limit a { per = \"metadata x-bin\" streams = 5 }",
     "t.conf:2: error: `per`: metadata that ends in -bin is no key"},
    {LISTEN "limit a { streams = 5 }",
     "t.conf:2: error: `streams` counts streams, and `per = stream` has one: say another `per`"},
    {LISTEN "limit a { streams_per_second = 5 }",
     "t.conf:2: error: `streams_per_second` counts streams, and `per = stream` has one: say another `per`"},
    {LISTEN "limit a { per = service\nmessages = 5 }",
     "t.conf:3: error: `messages` in all are of a stream or connection: say that in `per`"},
    {LISTEN "limit a { per = peer keys = 0\nstreams = 5 }",
     "t.conf:2: error: `keys` = 0 is outside of its range, 1 to 16777216"},
    {LISTEN "limit a { messages_per_second = 5\nkeys = 5 }",
     "t.conf:3: error: `keys` is for `per` peer and metadata, which have many"},
    {LISTEN "limit a { per = service streams = 5\nkeys = 5 }",
     "t.conf:3: error: `keys` is for `per` peer and metadata, which have many"},
    {LISTEN "limit a { age = 5s\naction = hard }",
     "t.conf:3: error: `action` is for messages_per_second and bytes_per_second"},
    {LISTEN "limit a { age = 5s\ndirection = both }",
     "t.conf:3: error: `direction` is for messages_per_second, bytes_per_second and messages"},
    {LISTEN "limit a { messages_per_second = 5\ndirection = requests }",
     "t.conf:3: error: `direction` = \"requests\" is unknown (did you mean \"request\"?)"},
    {LISTEN "limit a { messages = 5\nmessages_burst = 5 }",
     "t.conf:3: error: `messages_burst` needs `messages_per_second`"},
    {LISTEN "limit a { messages_per_second = 0.000001\nmessages_burst = 1001 }",
     "t.conf:3: error: `messages_burst` is more than comes in a thousand million seconds"},
    {LISTEN "limit a { age = 1s }\nlimit a { age = 2s }", "t.conf:3: error: `limit \"a\"` is already in line 2"},
    {LISTEN "limit users { age = 1s }\nlimits { limit = user }",
     "t.conf:3: error: there is no `limit` \"user\" (did you mean \"users\"?)"},
    {GREET "limit a { age = 1s }\nservice a.B { script = greet.lua\nlimit = { a, a } }",
     "t.conf:5: error: `limit` \"a\" is there twice"},
    {GREET "service a.B { script = greet.lua\nmethod C { limit = x } }", "t.conf:4: error: there is no `limit` \"x\""},
    {GREET "service a.B { script = greet.lua\nlimit x { age = 5s } }", "t.conf:4: error: `limit` is a key: limit = …"},
    {"listen \"127.0.0.1:0\" {\nlimit = x }", "t.conf:2: error: there is no `limit` \"x\""},
    /* upstreams */
    {LISTEN "upstream numbers {\n target = a }",
     "t.conf:3: error: \"a\" is not an address: HOST:PORT, [V6]:PORT, *:PORT or unix:PATH"},
    {LISTEN "upstream numbers { }", "t.conf:2: error: `upstream \"numbers\"` needs a `target`"},
    {LISTEN "upstream numbers { target = { \"a:1\",\n\"A:01\" } }", "t.conf:3: error: `target` a:1 is there twice"},
    {LISTEN "upstream numbers { target = \"*:1\" }",
     "t.conf:2: error: \"*:1\" is nothing that can be called: name host and port"},
    {LISTEN "upstream numbers { target = \"a:1\"\nbalance = hash }",
     "t.conf:3: error: `balance = hash` needs a `hash_key`"},
    {LISTEN "upstream numbers { target = \"a:1\"\nhash_key = x }",
     "t.conf:3: error: `hash_key` is of no use without `balance = hash`"},
    {LISTEN "upstream numbers { target = \"a:1\"\nbalance = hash\nhash_key = \"X-User\" }",
     "t.conf:4: error: \"X-User\" is not the name of metadata, which is in lower case"},
    {LISTEN "upstream numbers { target = \"a:1\"\nretry {\non = UNAVAILBLE } }",
     "t.conf:4: error: \"UNAVAILBLE\" is not a status that a failed call has (did you mean \"UNAVAILABLE\"?)"},
    {LISTEN "upstream numbers { target = \"a:1\"\ntls { key = greet.lua } }",
     "t.conf:3: error: `certificate` and `key` need each other"},
    {LISTEN "upstream numbers { target = \"a:1\"\ntls { client_ca = greet.lua } }",
     "t.conf:3: error: `tls` has no key `client_ca`"},
    {GREET "upstream numbers { target = \"a:1\" }\nservice a.B {\n upstream = \"number\" }",
     "t.conf:5: error: there is no `upstream` or `peer` \"number\" (did you mean \"numbers\"?)"},
    {LISTEN "upstream u { target = \"a:1\" }\nservice \"a.*\" {\n upstream = u\n handler_time = 1s }",
     "t.conf:5: error: `handler_time` is for services with a `script`: calls that are passed on are not taken apart"},
    {LISTEN "upstream u { target = \"a:1\" }\nservice a.B {\n upstream = u\n jit = on }",
     "t.conf:5: error: `jit` is for services with a `script`: calls that are passed on are not taken apart"},
    {LISTEN "upstream u { target = \"a:1\" }\nservice a.B {\n upstream = u\n method M { } }",
     "t.conf:5: error: `method` is for services with a `script`: a service without one is passed on as a whole"},
    /* the bus */
    {LISTEN "bus { }", "t.conf:2: error: `bus` needs a `url`: \"nats://host:port\""},
    {LISTEN "bus {\n url = \"localhost:4222\" }",
     "t.conf:3: error: \"localhost:4222\" is no url of a NATS server: write \"nats://host:port\""},
    {LISTEN "bus {\n url = { \"nats://a\", \"nats://u:p@b\" } }",
     "t.conf:3: error: `url`: who we are says `user` and `password`, or `token`"},
    {LISTEN "bus {\n url = \"nats://\" }", "t.conf:3: error: `url`: \"nats://\" names no host"},
    {LISTEN "bus {\n url = \"tls://a\" }", "t.conf:3: error: `url`: tls:// needs a `tls` section"},
    {LISTEN "bus { url = \"nats://a\"\n subject = \"a.*\" }",
     "t.conf:3: error: \"a.*\" is no subject: words of letters, digits, \"-\" and \"_\" with dots between, at most 64"},
    {LISTEN "bus { url = \"nats://a\"\n name = \"a b\" }",
     "t.conf:3: error: \"a b\" is not the name of a gateway: letters, digits, \".\", \"-\" and \"_\", at most 64"},
    {LISTEN "bus { url = \"nats://a\"\n user = x }", "t.conf:3: error: `user` and `password` need each other"},
    {LISTEN "bus { url = \"nats://a\"\n token = x\n user = x  password = y }",
     "t.conf:3: error: `user` and `token` are two ways to say who we are"},
    {LISTEN "bus { url = \"nats://a\"\n credentials = none }", "t.conf:3: error: `credentials`: none: No such file or directory"},
    {LISTEN "bus { url = \"nats://a\"\n nkey = SUSEED  nkey_seed = ca.pem }",
     "t.conf:3: error: `nkey` is a public key, which begins with \"U\"; the seed stands in a file, `nkey_seed`"},
    {LISTEN "bus { url = \"nats://a\"\n tls { key = ca.pem } }", "t.conf:3: error: `certificate` and `key` need each other"},
    {LISTEN "bus { url = \"nats://a\"\n jetstream { stream = \"a.b\" } }",
     "t.conf:3: error: \"a.b\" is not the name of a stream: letters, digits, \"-\" and \"_\", at most 64"},
    {LISTEN "bus { url = \"nats://a\"\n heartbeat = 1ms }", "t.conf:3: error: `heartbeat` = 1ms is outside of its range, 100ms to 1h"},
    {LISTEN "bus { url = \"nats://a\" }\nbus { url = \"nats://a\" }", "t.conf:3: error: `bus` is already in line 2"},

    /* peers */
    {LISTEN "peer b { address = \"b:1\" }", "t.conf:2: error: a `peer` needs a `node`: our own id, at the top of the file"},
    {LISTEN "node = \"a b\"", "t.conf:2: error: \"a b\" is not an id: letters, digits, \".\", \"-\" and \"_\", at most 64"},
    {LISTEN "node = a\npeer b {\n id = \"b c\" }",
     "t.conf:4: error: \"b c\" is not the id of a peer: letters, digits, \".\", \"-\" and \"_\", at most 64"},
    {LISTEN "node = a\npeer \"\" { id = b }", "t.conf:3: error: a `peer` needs a name: peer NAME { … }"},
    {LISTEN "node = a\npeer a { }", "t.conf:3: error: \"a\" is our own `node`"},
    {LISTEN "node = a\npeer b { }\npeer c {\n id = b }", "t.conf:5: error: `peer \"b\"` has the id \"b\" already"},
    {LISTEN "node = a\nupstream b { target = \"b:1\" }\npeer b { }", "t.conf:4: error: `upstream \"b\"` has that name already"},
    {LISTEN "node = a\npeer b {\n connect = always }", "t.conf:4: error: `connect = always` needs an `address`"},
    {LISTEN "node = a\npeer b {\n address = b }",
     "t.conf:4: error: \"b\" is not an address: HOST:PORT, [V6]:PORT, *:PORT or unix:PATH"},
    {LISTEN "node = a\npeer b {\n tls { key = greet.lua } }", "t.conf:4: error: `certificate` and `key` need each other"},
    {"listen \"127.0.0.1:0\" {\n peers = on }",
     "t.conf:2: error: `peers = on` needs a `node`: our own id, at the top of the file"},
    {"node = a\nlisten \"127.0.0.1:0\" {\n peers = on\n tls { certificate = scripts/greet.lua  key = scripts/greet.lua } }",
     "t.conf:3: error: `peers = on` with `tls` needs `client_certificate`: by it peers prove their id"},
    {LISTEN "script_path = scripts  upstream u { target = \"a:1\" }\nservice a.B { upstream = u }\nservice a.C { script = greet.lua }",
     "t.conf:4: error: `service \"a.C\"` has no types: name its .proto file in `proto`"},
    /* twice */
    {LISTEN "workers = 1\nhealth = on\nworkers = 2", "t.conf:4: error: `workers` is already in line 2"},
    {LISTEN "limits { }\nlimits { }", "t.conf:3: error: `limits` is already in line 2"},
    {LISTEN "\n" LISTEN, "t.conf:3: error: `listen \"127.0.0.1:0\"` is already in line 1"},
    {GREET "service a.B { script = greet.lua }\nservice a.B { script = chat.lua }",
     "t.conf:4: error: `service \"a.B\"` is already in line 3"},
    {GREET "service a.B {\nscript = greet.lua\nmethod M { }\nmethod M { } }",
     "t.conf:6: error: `method \"M\"` is already in line 5"},
    {"listen \"127.0.0.1:5\" { }\nlisten \"127.0.0.1:05\" { }",
     "t.conf:2: error: `listen \"127.0.0.1:05\"` is the same address as \"127.0.0.1:5\" in line 1"},
    {"listen \"[::0001]:5\" { }\nlisten \"[::1]:5\" { }",
     "t.conf:2: error: `listen \"[::1]:5\"` is the same address as \"[::0001]:5\" in line 1"},
    {"listen unix:a { }\nlisten \"unix:./a\" { mode = 0600 }\nlisten unix:b { }\nlisten 'unix:b' { }",
     "t.conf:4: error: `listen \"unix:b\"` is already in line 3"},
    /* values */
    {LISTEN "limits {\n message = 4 }",
     "t.conf:3: error: `message` is a size and needs a unit, such as KiB or MiB: \"4\" has none"},
    {LISTEN "limits { message = 4mib }",
     "t.conf:2: error: `message`: \"mib\" is not a unit (did you mean \"MiB\"?)"},
    {LISTEN "limits { message = 4k }",
     "t.conf:2: error: `message`: \"k\" is not a unit; there are `B`, `KB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`"},
    {LISTEN "limits { message = big }", "t.conf:2: error: `message` is a size such as 4MiB: \"big\" is not"},
    {LISTEN "limits { message = -1B }", "t.conf:2: error: `message` is a size such as 4MiB: \"-1B\" is not"},
    {LISTEN "limits { message = 0 }", "t.conf:2: error: `message` = 0 is outside of its range, 1B to 1GiB"},
    {LISTEN "limits { message = 20000000000GiB }",
     "t.conf:2: error: `message` = 20000000000GiB is outside of its range, 1B to 1GiB"},
    {LISTEN "limits { message = 99999999999999999999B }",
     "t.conf:2: error: `message` is a size such as 4MiB: \"99999999999999999999B\" is not"},
    {LISTEN "drain_timeout = 30",
     "t.conf:2: error: `drain_timeout` is a duration and needs a unit, such as ms, s or m: \"30\" has none"},
    {LISTEN "drain_timeout = 30sec",
     "t.conf:2: error: `drain_timeout`: \"sec\" is not a unit (did you mean \"s\"?)"},
    {LISTEN "drain_timeout = 2d", "t.conf:2: error: `drain_timeout` = 2d is outside of its range, 0 to 1d"},
    {LISTEN "workers = many", "t.conf:2: error: `workers` is a number or auto: \"many\" is not"},
    {LISTEN "workers = 0", "t.conf:2: error: `workers` = 0 is outside of its range, 1 to 256"},
    {LISTEN "health = maybe", "t.conf:2: error: `health` is on or off: \"maybe\" is neither"},
    {LISTEN "log {\n level = inof }",
     "t.conf:3: error: `level` = \"inof\" is unknown (did you mean \"info\"?)"},
    {LISTEN "log { format = xml123 }",
     "t.conf:2: error: `format` = \"xml123\" is unknown; there are `text`, `json`"},
    {LISTEN "log { file = \"\" }", "t.conf:2: error: `file` is empty"},
    {"listen unix:a { mode = 888 }", "t.conf:1: error: `mode` is octal, such as 0660: \"888\" is not"},
    {"listen unix:a { mode = 7777 }", "t.conf:1: error: `mode` = 7777 is outside of its range, 0000 to 0777"},
    /* listeners */
    {"workers = 1", "t.conf: error: nothing to serve: there is no `listen`"},
    {"listen \"50051\" { }",
     "t.conf:1: error: \"50051\" is not an address: HOST:PORT, [V6]:PORT, *:PORT or unix:PATH"},
    {"\nlisten\n\"127.0.0.1:65536\"\n{ }", "t.conf:4: error: \"65536\" is not a port, 0 to 65535"},
    {"listen \"127.0.0.1:http\" { }", "t.conf:1: error: \"http\" is not a port, 0 to 65535"},
    {"listen \"::1:50051\" { }",
     "t.conf:1: error: \"::1:50051\": an IPv6 address needs brackets, as in [::1]:50051"},
    {"listen \"[::g]:1\" { }", "t.conf:1: error: \"::g\" is not a host name or an IP address"},
    {"listen \"127.0.0.256:1\" { }", "t.conf:1: error: \"127.0.0.256\" is not a host name or an IP address"},
    {"listen \"unix:\" { }",
     "t.conf:1: error: \"unix:\" is not an address: HOST:PORT, [V6]:PORT, *:PORT or unix:PATH"},
    {"listen \"127.0.0.1:0\" {\nmode = 0600 }", "t.conf:2: error: `mode` is for unix sockets only"},
    {"listen \"127.0.0.1:0\" {\nproxy_from = { \"10.0.0.0/8\",\n \"10.0.0.0/33\" } }",
     "t.conf:3: error: \"10.0.0.0/33\" is not a network, such as 10.0.0.0/8 or fc00::/7, or the word unix"},
    {TLS_OPEN "} }", "t.conf:2: error: `tls` needs a `certificate`"},
    {TLS_OPEN "certificate = server.pem } }", "t.conf:2: error: `tls` needs a `key` for its certificate"},
    {TLS_OPEN "certificate = { server.pem, other.pem }\nkey = server.key } }",
     "t.conf:4: error: 2 certificates and 1 keys: each certificate needs its key"},
    {TLS_OPEN "certificate = none.pem\nkey = server.key } }",
     "t.conf:3: error: `certificate`: none.pem: No such file or directory"},
    {TLS_OPEN "certificate = server.pem\nkey = scripts } }",
     "t.conf:4: error: `key`: scripts: Is a directory"},
    {TLS_OPEN "certificate = server.pem key = server.key\nclient_certificate = required } }",
     "t.conf:4: error: `client_certificate` needs `client_ca`: who signs them"},
    {TLS_OPEN "certificate = server.pem key = server.key\nclient_ca = ca.pem } }",
     "t.conf:4: error: `client_ca` is of no use while `client_certificate` is none: make it optional or "
     "required"},
    {TLS_OPEN "certificate = server.pem key = server.key minimum = 1.1 } }",
     "t.conf:3: error: `minimum` = \"1.1\" is unknown (did you mean \"1.2\"?)"},
    {"listen unix:a {\ncors { } }", "t.conf:2: error: `cors` needs `origins`: whose pages may call"},
    {"listen unix:a {\ncors { origins =\n\"a.example\" } }",
     "t.conf:3: error: \"a.example\" is not an origin, such as https://app.example.com: no path, no capitals"},
    {"listen unix:a {\ncors { origins = { \"*\", \"https://a.example/\" } } }",
     "t.conf:2: error: \"https://a.example/\" is not an origin, such as https://app.example.com: no path, no capitals"},
    {"listen unix:a {\ncors { origins = \"https://A.example\" } }",
     "t.conf:2: error: \"https://A.example\" is not an origin, such as https://app.example.com: no path, no capitals"},
    {"listen unix:a {\ncors { origins = \"https://a.*.example\" } }",
     "t.conf:2: error: \"https://a.*.example\" is not an origin, such as https://app.example.com: no path, no capitals"},
    {"listen unix:a {\ncors { origins = { \"https://a.example\", \"*\" }\n credentials = on } }",
     "t.conf:3: error: `credentials` and `origins = \"*\"` exclude each other: name the origins"},
    {"listen unix:a {\ncors { origins = \"null\"\ncredentials = on } }",
     "t.conf:3: error: `credentials` and `origins = \"null\"` exclude each other: name the origins"},
    {"listen unix:a {\ncors { origins = \"*\"\n headers = { \"x-user\", \"X-User\" } } }",
     "t.conf:3: error: \"X-User\" is not the name of a header: small letters, digits, \"-\", \"_\" and \".\""},
    {"listen unix:a {\ncors { origins = \"*\" orgins = \"*\" } }",
     "t.conf:2: error: `cors` has no key `orgins` (did you mean \"origins\"?)"},
    {LISTEN "cors { origins = \"*\" }", "t.conf:2: error: the file has no section `cors`"},
    /* services */
    {GREET "service a.B {\n}", "t.conf:3: error: `service \"a.B\"` needs a `script` or an `upstream`"},
    {GREET "service a.B {\nscript = { greet.lua, chat.lua } }",
     "t.conf:4: error: several scripts are filters, and need an `upstream` behind them"},
    {GREET "service a.B {\nscript = none.lua }",
     "t.conf:4: error: `script`: scripts/none.lua: No such file or directory"},
    {GREET "service a.*.B { script = greet.lua }",
     "t.conf:3: error: \"a.*.B\" is not a service: write \"pkg.Service\", \"pkg.*\" or \"*\""},
    {GREET "service \"a/B\" { script = greet.lua }",
     "t.conf:3: error: \"a/B\" is not a service: write \"pkg.Service\", \"pkg.*\" or \"*\""},
    {GREET "service a.B { script = greet.lua\nmethod \"x/y\" { } }",
     "t.conf:4: error: \"x/y\" is not the name of a method"},
    {LISTEN "script_path = scripts\nservice a.B { script = greet.lua }",
     "t.conf:3: error: `service \"a.B\"` has no types: name its .proto file in `proto`"},
    {LISTEN "proto_path = { proto,\n gone }", "t.conf:3: error: `proto_path`: gone is not a folder"},
    {LISTEN "script_path = types.pb", "t.conf:2: error: `script_path`: types.pb is not a folder"},
    {LISTEN "proto_path = proto\nproto = { greet.proto,\ngone.proto }",
     "t.conf:4: error: `proto`: gone.proto is not in `proto_path` (proto)"},
    {LISTEN "proto = gone.pb", "t.conf:2: error: `proto`: gone.pb: No such file or directory"},
    /* limits that contradict each other */
    {LISTEN "limits {\nbuffered_total = 1MiB }",
     "t.conf:2: error: `buffered_per_connection` is larger than `buffered_total`"},
    {LISTEN "limits {\nbuffered_per_connection = 128KiB }",
     "t.conf:2: error: `buffered_per_stream` is larger than `buffered_per_connection`"},
    {LISTEN "workers = 1 limits {\nmessage = 33MiB }",
     "t.conf:3: error: `message` is larger than `buffered_per_connection`: none could arrive"},
    {LISTEN "workers = 256 limits {\nbuffered_total = 512MiB }",
     "t.conf:3: error: `message` is larger than a worker's share of `buffered_total`: none could arrive"},
    {GREET "service a.B { script = greet.lua method M {\nmessage = 33MiB } }",
     "t.conf:4: error: `message` is larger than `buffered_per_connection`: none could arrive"},
    /* include */
    {"include \"a.conf\"", "t.conf:1: error: write include(\"file\")"},
    {"include(a.conf", "t.conf:1: error: write include(\"file\")"},
    {"\ninclude(\"gone.conf\")", "t.conf:2: error: gone.conf: No such file or directory"},
    {"include(\"scripts\")", "t.conf:1: error: scripts is not a file"},
};

static void every_fault_is_told_with_its_line(void) {
    int wrong = 0;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct error error = {"nothing"};
        struct config *config = config_read_text("t.conf", faults[i].text, strlen(faults[i].text), &error);
        if (config || strcmp(error.text, faults[i].error)) {
            fprintf(stderr, "in: %s\n is: %s\nnot: %s\n", faults[i].text, error.text, faults[i].error);
            wrong++;
        }
        config_free(&config);
        /* What a broken configuration leaves behind does not touch the next one. */
        config = read_text(GREET "service a.B { script = greet.lua }");
        CHECK_INT(config->service_count, 1);
        config_free(&config);
    }
    CHECK_INT(wrong, 0);
}

/* --- what is read --- */

static void a_file_without_keys_has_the_defaults(void) {
    struct config *config = read_text(LISTEN);
    CHECK_STR(config->file, "t.conf");
    CHECK(config->workers >= 1 && config->workers <= 256);
    CHECK_STR(config->proto_path[0], ".");
    CHECK(!config->proto_path[1] && !config->proto[0]);
    CHECK_STR(config->script_path, ".");
    CHECK_INT(config->listener_count, 1);
    CHECK_INT(config->listeners[0].backlog, 4096);
    CHECK(!config->listeners[0].tls && !config->listeners[0].proxy_from && !config->listeners[0].path);
    CHECK(!config->listeners[0].cors);
    CHECK_INT(config->admin_count, 0);
    CHECK_INT(config->service_count, 0);
    CHECK_INT(config->limits.message, 4 << 20);
    CHECK_INT(config->limits.headers, 64 << 10);
    CHECK_INT(config->limits.streams_per_connection, 1000);
    CHECK_INT(config->limits.connections, 10000);
    CHECK_INT(config->limits.idle, 0);
    CHECK_INT(config->limits.buffered_per_stream, 256 << 10);
    CHECK_INT(config->limits.buffered_per_connection, 32 << 20);
    CHECK_INT(config->limits.buffered_total, 1 << 30);
    CHECK_INT(config->limits.stalled, 10 * NS_PER_S);
    CHECK_INT(config->limits.topics, 100000);
    CHECK_INT(config->limits.list_elements, 100000);
    CHECK_INT(config->limits.handler_time, NS_PER_S);
    CHECK_INT(config->limits.handler_memory, 256 << 20);
    CHECK_INT(config->log.level, LOG_INFO);
    CHECK_INT(config->log.format, LOG_TEXT);
    CHECK(config->log.access && !config->log.file);
    CHECK(config->health && config->reflection);
    CHECK_INT(config->drain_timeout, 30 * NS_PER_S);
    CHECK_INT(config->keepalive.interval, 7200 * NS_PER_S);
    CHECK_INT(config->keepalive.timeout, 20 * NS_PER_S);
    CHECK_INT(config->keepalive.least_interval, 5 * NS_PER_S);
    CHECK(config->keepalive.without_streams);
    config_free(&config);
    CHECK(config == NULL);
}

static void every_key_is_read(void) {
    struct config *config = read_text(
        "workers = 3  proto_path = { proto, \"scripts\" }  proto = { 'greet.proto', types.pb }  script_path "
        "= scripts\n"
        "health = off  reflection = no  drain_timeout = 1500ms\n"
        "listen \"LocalHost:050051\" { backlog = 7  proxy_from = { \"10.0.0.0/8\", \"::1\", \"192.168.1.1\", "
        "unix } }\n"
        "listen \"[::0001]:1\" { tls {\n"
        "  certificate = { server.pem, \"other.pem\" } key = { server.key, other.key }\n"
        "  client_ca = ca.pem client_certificate = optional minimum = 1.3 } }\n"
        "listen \"unix:run/x.sock\" { mode = 0600 }\n"
        "listen \"*:2\" { tls { certificate = server.pem key = server.key }\n"
        "  cors { origins = { \"https://a.example\", \"http://*.b.example:8080\" } headers = x-user max_age = 10m\n"
        "    credentials = on } }\n"
        "service a.B { script = greet.lua  jit = on  int64 = string  message = 1KiB\n"
        "  method M { buffered_per_stream = 2KiB list_elements = 5 handler_time = 20ms } }\n"
        "service \"a.*\" { script = \"chat.lua\" int64 = exact }\n"
        "limits { message = 2MB headers = 8KiB streams_per_connection = 10 connections = 11 idle = 5m\n"
        "  buffered_per_stream = 64KiB buffered_per_connection = 16MiB buffered_total = 64MiB stalled = 2s\n"
        "  topics = 12 list_elements = 13 handler_time = 50ms handler_memory = 2MiB }\n"
        "keepalive { interval = 1h timeout = 2s least_interval = 0 without_streams = false }\n"
        "log { level = warn format = json access = off file = \"logs/x.log\" }\n");
    CHECK_INT(config->workers, 3);
    CHECK_STR(config->proto_path[0], "proto");
    CHECK_STR(config->proto_path[1], "scripts");
    CHECK(!config->proto_path[2]);
    CHECK_STR(config->proto[0], "greet.proto");
    CHECK_STR(config->proto[1], "types.pb");
    CHECK(!config->proto[2]);
    CHECK_STR(config->script_path, "scripts");
    CHECK(!config->health && !config->reflection);
    CHECK_INT(config->drain_timeout, 1500 * NS_PER_MS);

    CHECK_INT(config->listener_count, 4);
    struct config_listener *listener = &config->listeners[0];
    CHECK_STR(listener->address, "LocalHost:050051");
    CHECK_STR(listener->host, "localhost");
    CHECK_STR(listener->port, "50051");
    CHECK_INT(listener->backlog, 7);
    CHECK_INT(listener->line, 3);
    CHECK_STR(listener->proxy_from[0], "10.0.0.0/8");
    CHECK_STR(listener->proxy_from[1], "::1/128");
    CHECK_STR(listener->proxy_from[2], "192.168.1.1/32");
    CHECK_STR(listener->proxy_from[3], "unix");
    CHECK(!listener->proxy_from[4] && !listener->tls);
    listener++;
    CHECK_STR(listener->host, "::1");
    CHECK_STR(listener->tls->certificates[0], "server.pem");
    CHECK_STR(listener->tls->certificates[1], "other.pem");
    CHECK_STR(listener->tls->keys[1], "other.key");
    CHECK(!listener->tls->certificates[2] && !listener->tls->keys[2]);
    CHECK_STR(listener->tls->client_ca, "ca.pem");
    CHECK_INT(listener->tls->client_certificate, CLIENT_CERTIFICATE_OPTIONAL);
    CHECK(listener->tls->is_tls13_only);
    listener++;
    CHECK_STR(listener->path, "run/x.sock");
    CHECK_INT(listener->mode, 0600);
    CHECK(!listener->host && !listener->port);
    listener++;
    CHECK_STR(listener->host, "*");
    CHECK_INT(listener->tls->client_certificate, CLIENT_CERTIFICATE_NONE);
    CHECK(!listener->tls->is_tls13_only);
    CHECK_STR(listener->cors->origins[0], "https://a.example");
    CHECK_STR(listener->cors->origins[1], "http://*.b.example:8080");
    CHECK(!listener->cors->origins[2] && !listener->cors->headers[1]);
    CHECK_STR(listener->cors->headers[0], "x-user");
    CHECK_INT(listener->cors->max_age, 600 * NS_PER_S);
    CHECK(listener->cors->credentials);

    CHECK_INT(config->service_count, 2);
    struct config_service *service = &config->services[0];
    CHECK_STR(service->name, "a.B");
    CHECK_STR(service->script, "scripts/greet.lua");
    CHECK_STR(service->script_name, "greet.lua");
    CHECK_STR(service->file, "t.conf");
    CHECK_INT(service->line, 11);
    CHECK(service->is_jit);
    CHECK_INT(service->int64, INT64_STRING);
    CHECK_INT(service->limits.message, 1024);
    CHECK_INT(service->limits.buffered_per_stream, 64 << 10);
    CHECK_INT(service->method_count, 1);
    CHECK_STR(service->methods[0].name, "M");
    CHECK_INT(service->methods[0].limits.message, 1024);
    CHECK_INT(service->methods[0].limits.buffered_per_stream, 2048);
    CHECK_INT(service->methods[0].limits.list_elements, 5);
    CHECK_INT(service->methods[0].limits.handler_time, 20 * NS_PER_MS);
    CHECK_INT(service->methods[0].limits.stalled, 2 * NS_PER_S);
    CHECK(config_method_limits(service, "M") == &service->methods[0].limits);
    CHECK(config_method_limits(service, "N") == &service->limits);
    CHECK_INT(config->services[1].int64, INT64_EXACT);
    CHECK(!config->services[1].is_jit);
    CHECK_INT(config->services[1].limits.message, 2000000);

    CHECK_INT(config->limits.message, 2000000);
    CHECK_INT(config->limits.headers, 8 << 10);
    CHECK_INT(config->limits.streams_per_connection, 10);
    CHECK_INT(config->limits.connections, 11);
    CHECK_INT(config->limits.idle, 300 * NS_PER_S);
    CHECK_INT(config->limits.buffered_per_connection, 16 << 20);
    CHECK_INT(config->limits.buffered_total, 64 << 20);
    CHECK_INT(config->limits.topics, 12);
    CHECK_INT(config->limits.list_elements, 13);
    CHECK_INT(config->limits.handler_time, 50 * NS_PER_MS);
    CHECK_INT(config->limits.handler_memory, 2 << 20);
    CHECK_INT(config->keepalive.interval, 3600 * NS_PER_S);
    CHECK_INT(config->keepalive.timeout, 2 * NS_PER_S);
    CHECK_INT(config->keepalive.least_interval, 0);
    CHECK(!config->keepalive.without_streams);
    CHECK_INT(config->log.level, LOG_WARN);
    CHECK_INT(config->log.format, LOG_JSON);
    CHECK(!config->log.access);
    CHECK_STR(config->log.file, "logs/x.log");
    config_free(&config);
}

static void a_bus_has_urls_and_says_who_we_are(void) {
    struct config *config = read_text(LISTEN);
    CHECK(!config->bus);
    config_free(&config);
    config = read_text(LISTEN "node = a\nbus { url = { \"nats://one\", \"tls://[::1]:7\" }  token = t\n"
                              "tls { ca = ca.pem  verify = off }  jetstream { messages = 7  age = 1h } }");
    const struct config_bus *bus = config->bus;
    CHECK_STR(bus->urls[0], "nats://one:4222");
    CHECK_STR(bus->urls[1], "tls://[::1]:7");
    CHECK(!bus->urls[2]);
    CHECK_STR(bus->name, "a");
    CHECK_STR(bus->subject, "tidewire");
    CHECK_STR(bus->token, "t");
    CHECK(!bus->user && !bus->credentials);
    CHECK_STR(bus->tls->ca, "ca.pem");
    CHECK(!bus->tls->is_verified);
    CHECK_STR(bus->stream->name, "TIDEWIRE");
    CHECK_INT(bus->stream->messages, 7);
    CHECK_INT(bus->stream->age, 3600 * NS_PER_S);
    CHECK_INT(bus->stream->storage, STORAGE_FILE);
    CHECK_INT(bus->heartbeat, 2 * NS_PER_S);
    struct config *same = read_text(LISTEN "node = a\nbus { url = { \"nats://one\", \"tls://[::1]:7\" }  token = t\n"
                                           "tls { ca = ca.pem  verify = off }  jetstream { messages = 7  age = 1h } }\n"
                                           "drain_timeout = 1s");
    CHECK_STR(same->bus->fingerprint, bus->fingerprint);
    struct config *other = read_text(LISTEN "node = b\nbus { url = { \"nats://one\", \"tls://[::1]:7\" }  token = t\n"
                                            "tls { ca = ca.pem  verify = off }  jetstream { messages = 7  age = 1h } }");
    CHECK(strcmp(other->bus->fingerprint, bus->fingerprint) != 0);
    config_free(&same);
    config_free(&other);
    config_free(&config);
}

static void a_peer_is_an_upstream_with_an_id(void) {
    write_file("a.pem", "");
    write_file("a.key", "");
    struct config *config = read_text(
        "node = a\nlisten \"127.0.0.1:0\" { peers = on }\nupstream u { target = \"u:1\" }\n"
        "peer b { }\n"
        "peer other { id = \"c.d\"  address = \"unix:run/c.sock\"  connect = always  wait = 3s  connect_timeout = 4s\n"
        "  backoff = 5s  backoff_most = 6s  linger = 0  waiting = 7  keepalive { interval = 8s  timeout = 9s }\n"
        "  tls { certificate = a.pem  key = a.key } }\n"
        "service \"x.*\" { upstream = other }");
    CHECK_STR(config->node, "a");
    CHECK(config->listeners[0].takes_peers);
    CHECK_INT(config->upstream_count, 3);
    CHECK(!config->upstreams[0]->peer.id);
    const struct config_upstream *peer = config_find_upstream(config, "b");
    CHECK_STR(peer->peer.id, "b");
    CHECK_STR(peer->peer.node, "a");
    CHECK(!peer->targets[0] && !peer->tls);
    CHECK_INT(peer->peer.connect, CONNECT_ON_DEMAND);
    CHECK_INT(peer->peer.wait, 20 * NS_PER_S);
    CHECK_INT(peer->connect_timeout, 20 * NS_PER_S);
    CHECK_INT(peer->linger, 30 * NS_PER_S);
    CHECK_INT(peer->keepalive.interval, 30 * NS_PER_S);
    peer = config_find_upstream(config, "other");
    CHECK_STR(peer->peer.id, "c.d");
    CHECK_STR(peer->targets[0], "unix:run/c.sock");
    CHECK(!peer->targets[1]);
    CHECK_INT(peer->peer.connect, CONNECT_ALWAYS);
    CHECK_INT(peer->peer.wait, 3 * NS_PER_S);
    CHECK_INT(peer->connect_timeout, 4 * NS_PER_S);
    CHECK_INT(peer->backoff, 5 * NS_PER_S);
    CHECK_INT(peer->backoff_most, 6 * NS_PER_S);
    CHECK_INT(peer->linger, 0);
    CHECK_INT(peer->waiting, 7);
    CHECK_INT(peer->keepalive.interval, 8 * NS_PER_S);
    CHECK_INT(peer->keepalive.timeout, 9 * NS_PER_S);
    CHECK(peer->tls->is_verified);
    CHECK_STR(peer->tls->server_name, "c.d");
    CHECK_STR(peer->tls->certificate, "a.pem");
    config_free(&config);
}

static void a_route_is_of_http_or_of_a_websocket(void) {
    struct config *config = read_text(LISTEN "route { http = \"PATCH /v1/{a.b=x/*}:go\" method = a.B/C body = \"*\"\n"
                                             "response_body = c event_id = d }\n"
                                             "route { websocket = \"GET /a\" method = a.B/D dialect = goa }");
    CHECK_INT(config->route_count, 2);
    CHECK_STR(config->routes[0].http, "PATCH /v1/{a.b=x/*}:go");
    CHECK_STR(config->routes[0].method, "a.B/C");
    CHECK_STR(config->routes[0].body, "*");
    CHECK_STR(config->routes[0].response_body, "c");
    CHECK_STR(config->routes[0].event_id, "d");
    CHECK(!config->routes[0].websocket && !config->routes[1].http && config->routes[1].dialect == DIALECT_GOA);
    config_free(&config);
}

static void words_and_comments_read_as_the_reference_says(void) {
    struct config *config =
        read_text("\xef\xbb\xbf# one\n// two\n/* three\n{ = \" */ workers=2 // end\n" LISTEN
                  "log{file=\"a \\\"b\\\" \\\\ \\$ {}=,#()\\t\"}\r\n"
                  "proto += types.pb proto += { 'types.pb', } script_path = 'scripts'# no blank\n");
    CHECK_INT(config->workers, 2);
    CHECK_STR(config->log.file, "a \"b\" \\ $ {}=,#()\t");
    CHECK_STR(config->proto[1], "types.pb");
    CHECK(!config->proto[2]);
    config_free(&config);
}

static void variables_are_filled_in(void) {
    setenv("TIDEWIRE_TEST_NAME", "wa", 1);
    setenv("TIDEWIRE_TEST_EMPTY", "", 1);
    unsetenv("TIDEWIRE_TEST_UNSET");
    mkdir("${TIDEWIRE_TEST_NAME}", 0755);
    struct config *config =
        read_text(LISTEN "log { level = ${TIDEWIRE_TEST_NAME}rn\n"
                         " format = ${TIDEWIRE_TEST_EMPTY:-json}\n"
                         " file = \"${TIDEWIRE_TEST_UNSET:-x y}${TIDEWIRE_TEST_EMPTY}\" }\n"
                         "proto_path = '${TIDEWIRE_TEST_NAME}'\n");
    CHECK_INT(config->log.level, LOG_WARN);
    CHECK_INT(config->log.format, LOG_JSON);
    CHECK_STR(config->log.file, "x y");
    CHECK_STR(config->proto_path[0], "${TIDEWIRE_TEST_NAME}");
    config_free(&config);
}

static void the_environment_goes_before_the_file_for_the_log(void) {
    setenv("TIDEWIRE_LOG_LEVEL", "debug", 1);
    setenv("TIDEWIRE_LOG_FORMAT", "json", 1);
    struct config *config = read_text(LISTEN "log { level = error format = text }");
    CHECK_INT(config->log.level, LOG_DEBUG);
    CHECK_INT(config->log.format, LOG_JSON);
    config_free(&config);
    setenv("TIDEWIRE_LOG_LEVEL", "loud", 1);
    struct error error;
    CHECK(!config_read_text("t.conf", LISTEN, strlen(LISTEN), &error));
    CHECK_STR(error.text,
              "TIDEWIRE_LOG_LEVEL: error: `level` = \"loud\" is unknown; there are `debug`, `info`, "
              "`warn`, `error`, `off`");
    unsetenv("TIDEWIRE_LOG_LEVEL");
    unsetenv("TIDEWIRE_LOG_FORMAT");
}

/* --- include --- */

static void included_files_stand_in_the_place_of_their_include(void) {
    write_file("conf.d/10.conf", LISTEN "limits {\ninclude(more/limits.inc)\n}\n");
    write_file("conf.d/20.conf", "script_path = ../scripts proto_path = ../proto proto = greet.proto\n"
                                 "listen unix:here.sock { }\nservice a.B { script = greet.lua }\n");
    mkdir("conf.d/more", 0755);
    write_file("conf.d/more/limits.inc", "message = 1MiB\n");
    write_file("conf.d/ignored.txt", "broken {");
    struct config *config = read_text("workers = 1 include( \"conf.d/*.conf\" )\nhealth = off\n");
    CHECK_INT(config->limits.message, 1 << 20);
    CHECK(!config->health);
    CHECK_STR(config->script_path, "conf.d/../scripts");
    CHECK_STR(config->proto_path[0], "conf.d/../proto");
    CHECK_STR(config->listeners[1].path, "conf.d/here.sock");
    CHECK_STR(config->services[0].file, "conf.d/20.conf");
    CHECK_INT(config->services[0].line, 3);
    CHECK_STR(config->files[0], "t.conf");
    config_free(&config);
}

static void expect_fault(const char *text, const char *expected) {
    struct error error = {"nothing"};
    struct config *config = config_read_text("t.conf", text, strlen(text), &error);
    CHECK_STR(error.text, expected);
    CHECK(!config);
}

static void addresses_for_who_watches_are_read(void) {
    struct config *config = read_text(LISTEN "admin \"127.0.0.1:9464\" { }\nadmin \"unix:a.sock\" { mode = 0600 }");
    CHECK_INT(config->admin_count, 2);
    CHECK_STR(config->admins[0].address, "127.0.0.1:9464");
    CHECK_STR(config->admins[0].host, "127.0.0.1");
    CHECK_STR(config->admins[0].port, "9464");
    CHECK_INT(config->admins[0].line, 2);
    CHECK_INT(config->admins[1].mode, 0600);
    CHECK_STR(config->admins[1].path, "a.sock");
    CHECK_INT(config->listener_count, 1);
    config_free(&config);
}

static void faults_in_included_files_name_them(void) {
    write_file("bad.conf", "\n\nwrokers = 1\n");
    expect_fault(LISTEN "include(bad.conf)",
                 "bad.conf:3: error: the file has no key `wrokers` (did you mean \"workers\"?)");
    write_file("bad.conf", "health = on\n");
    expect_fault(LISTEN "include(bad.conf)\nhealth = off",
                 "t.conf:3: error: `health` is already in line 1 of bad.conf");
    write_file("bad.conf", "}\n");
    expect_fault(LISTEN "limits {\ninclude(bad.conf)", "bad.conf:1: error: this `}` closes nothing");
    write_file("bad.conf", "limits {\n");
    expect_fault(LISTEN "include(bad.conf)\n}", "bad.conf:1: error: this `{` is never closed");
}

static void a_file_that_includes_itself_is_a_fault(void) {
    write_file("a.conf", "\ninclude(b.conf)\n");
    write_file("b.conf", "include(./a.conf)\n");
    expect_fault("include(a.conf)", "b.conf:1: error: ./a.conf includes itself");
    struct error error;
    CHECK(!config_read("a.conf", &error));
    CHECK_STR(error.text, "b.conf:1: error: ./a.conf includes itself");
}

static void includes_are_bounded(void) {
    char name[20], text[40];
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "deep%d.conf", i);
        snprintf(text, sizeof text, "include(deep%d.conf)", i + 1);
        write_file(name, text);
    }
    expect_fault("include(deep0.conf)", "deep9.conf:1: error: includes are nested too deeply");
    write_file("empty.conf", "");
    struct buffer wide = {0};
    for (int i = 0; i < 2000; i++) buffer_append_text(&wide, "include(empty.conf) ");
    buffer_append_byte(&wide, '\0');
    expect_fault((char *)wide.data, "t.conf:1: error: too many files are included");
    buffer_free(&wide);
}

static void a_file_that_is_too_large_is_a_fault(void) {
    char *text = memory_new(3000001);
    memset(text, ' ', 3000000);
    write_file("large.conf", text);
    struct error error;
    CHECK(!config_read("large.conf", &error));
    CHECK_STR(error.text, "large.conf: error: File too large");
    for (int i = 0; i < 3000000; i += 2) text[i] = 'x';
    expect_fault(text, "t.conf:1: error: the configuration is too long");
    memset(text, '{', 3000000);
    expect_fault(text, "t.conf:1: error: braces are nested too deeply");
    free(text);
}

static void a_file_that_is_not_there_is_a_fault(void) {
    struct error error;
    CHECK(!config_read("gone/x.conf", &error));
    CHECK_STR(error.text, "gone/x.conf: error: No such file or directory");
    CHECK(!config_read("scripts", &error));
    CHECK_STR(error.text, "scripts: error: Is a directory");
}

static void a_nul_byte_is_a_fault(void) {
    struct error error;
    CHECK(!config_read_text("t.conf", "workers = \"1\0\"", 14, &error));
    CHECK_STR(error.text, "t.conf:1: error: a NUL byte");
    CHECK(!config_read_text("t.conf", "\n\0", 2, &error));
    CHECK_STR(error.text, "t.conf:2: error: a NUL byte");
}

/* --- services --- */

static void the_longest_match_owns_a_service(void) {
    struct config *config =
        read_text(GREET "service \"*\" { script = greet.lua }\nservice \"a.*\" { script = greet.lua }\n"
                        "service a.b.C { script = greet.lua }\nservice \"a.b.*\" { script = chat.lua }");
    CHECK_STR(config_find_service(config, "a.b.C")->name, "a.b.C");
    CHECK_STR(config_find_service(config, "a.b.D")->name, "a.b.*");
    CHECK_STR(config_find_service(config, "a.b.c.D")->name, "a.b.*");
    CHECK_STR(config_find_service(config, "a.bC")->name, "a.*");
    CHECK_STR(config_find_service(config, "ab.C")->name, "*");
    config_free(&config);
    config = read_text(GREET "service a.B { script = greet.lua }");
    CHECK(config_find_service(config, "a.BC") == NULL);
    CHECK(config_find_service(config, "a") == NULL);
    config_free(&config);
}

static void many_services_are_fine(void) {
    struct buffer text = {0};
    buffer_append_text(&text, GREET);
    for (int i = 0; i < 5000; i++) buffer_format(&text, "service a.S%d { script = greet.lua }\n", i);
    buffer_append_byte(&text, '\0');
    struct config *config = read_text((char *)text.data);
    CHECK_INT(config->service_count, 5000);
    CHECK_INT(config->services[4999].line, 5002);
    config_free(&config);
    buffer_free(&text);
}

/* --- what the table of keys writes --- */

static void the_nearest_that_names_limits_counts(void) {
    struct config *config = read_text(
        "limit a { messages_per_second = 0.5 }\nlimit b { per = \"metadata x-user\"  bytes_per_second = 1KiB  keys = 7 }\n"
        "limit c { per = peer  streams = 5  streams_per_second = 2.5  action = hard  messages_per_second = 1 }\n"
        "limits { limit = { a, b } }\nlisten \"127.0.0.1:0\" { limit = c }\n"
        "proto_path = proto  proto = greet.proto  script_path = scripts\n"
        "service a.A { script = greet.lua }\n"
        "service a.B { script = greet.lua  limit = c  method C { limit = b }  method D { limit = none }  method E { } }\n"
        "service a.F { script = greet.lua  limit = none }");
    const struct config_limit *a = &config->named_limits[0], *b = &config->named_limits[1], *c = &config->named_limits[2];
    const struct config_service *services = config->services;
    CHECK_INT(a->messages_per_second, RATE_ONE / 2);
    CHECK_INT(a->messages_burst, 1);
    CHECK_INT(b->bytes_burst, 1024);
    CHECK_STR(b->metadata, "x-user");
    CHECK_INT(b->keys, 7);
    CHECK_INT(c->streams_burst, 3);
    CHECK_INT(c->action, LIMIT_HARD);
    CHECK(config->limits.named[0] == a && config->limits.named[1] == b && !config->limits.named[2]);
    CHECK(services[0].limits.named == config->limits.named);
    CHECK(services[1].limits.named[0] == c && !services[1].limits.named[1]);
    CHECK(services[1].methods[0].limits.named[0] == b && !services[1].methods[1].limits.named);
    CHECK(services[1].methods[2].limits.named == services[1].limits.named);
    CHECK(!services[2].limits.named);
    CHECK(config->listeners[0].named[0] == c);
    config_free(&config);
}

static void the_default_file_reads_as_the_defaults(void) {
    struct buffer text = {0};
    config_write_default(&text);
    buffer_append_byte(&text, '\0');
    struct config *written = read_text((char *)text.data), *empty = read_text(LISTEN);
    CHECK_MEM(&written->limits, sizeof written->limits, &empty->limits, sizeof empty->limits);
    CHECK_MEM(&written->log, sizeof written->log, &empty->log, sizeof empty->log);
    CHECK_MEM(&written->keepalive, sizeof written->keepalive, &empty->keepalive, sizeof empty->keepalive);
    CHECK_INT(written->drain_timeout, empty->drain_timeout);
    CHECK_INT(written->workers, empty->workers);
    CHECK_INT(written->listeners[0].backlog, empty->listeners[0].backlog);
    CHECK_STR(written->proto_path[0], empty->proto_path[0]);
    CHECK_STR(written->script_path, empty->script_path);
    CHECK(written->health == empty->health && written->reflection == empty->reflection);
    config_free(&written);
    config_free(&empty);
    buffer_free(&text);
}

static void the_default_file_reads_with_its_comments_taken_away(void) {
    struct buffer text = {0}, bare = {0};
    config_write_default(&text);
    buffer_append_byte(&text, '\0');
    /* "# key = …", "# section {" and "# }" become what they stand for; mode needs another address, and keys
     * another `per`. */
    for (char *line = (char *)text.data, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        char *mark = strstr(line, "# ");
        bool is_code = mark && (strstr(line, " = ") || line[strlen(line) - 1] == '{' || mark[2] == '}');
        bool is_left_out = strstr(line, "mode =") || strstr(line, "client_certificate = none") ||
                           strstr(line, "hash_key =") || strstr(line, " keys = ") || strstr(line, " upstream = ") ||
                           strstr(line, " token =") || strstr(line, " credentials =") || strstr(line, " nkey") ||
                           strstr(line, " websocket =");
        if (is_code && !is_left_out) memset(mark, ' ', 1);
        buffer_format(&bare, "%s\n", is_left_out ? "" : line);
        if (strstr(line, "client_ca = ")) buffer_append_text(&bare, "client_certificate = required\n");
    }
    buffer_append_byte(&bare, '\0');
    write_file("greet.lua", "");
    write_file("greet.proto", "");
    write_file("clients.pem", "");
    write_file("ca.pem", "");
    write_file("client.pem", "");
    write_file("client.key", "");
    write_file("a.pem", "");
    write_file("a.key", "");
    struct config *config = read_text((char *)bare.data);
    CHECK(config->listeners[0].tls && config->listeners[0].proxy_from);
    CHECK_STR(config->services[0].methods[0].name, "Greet");
    CHECK(config->services[0].methods[0].limits.named && !config->services[0].methods[0].limits.named[1]);
    config->services[0].methods[0].limits.named = config->limits.named; /* one list for each who names it */
    CHECK_MEM(&config->services[0].methods[0].limits, sizeof config->limits, &config->limits,
              sizeof config->limits);
    config_free(&config);
    buffer_free(&text);
    buffer_free(&bare);
}

static void what_is_passed_on_may_keep_more_unless_the_file_says_how_much(void) {
    struct config *config = read_text(LISTEN "upstream u { target = \"a:1\" }\nservice a.B { upstream = u }\n"
                                             "service \"c.*\" { upstream = u  buffered_per_stream = 5KiB }");
    CHECK_INT(config->limits.buffered_per_stream, 256 * 1024);
    CHECK_INT(config->services[0].limits.buffered_per_stream, 1024 * 1024);
    CHECK_INT(config->services[0].passed_message, 0); /* that of `limits` is for what is taken apart */
    CHECK_INT(config->services[1].limits.buffered_per_stream, 5 * 1024);
    config_free(&config);
    config = read_text(LISTEN "upstream u { target = \"a:1\" }\nservice a.B { upstream = u }\n"
                              "limits { buffered_per_stream = 6KiB }");
    CHECK_INT(config->services[0].limits.buffered_per_stream, 6 * 1024);
    config_free(&config);
}


/* Runs in the source tree, before the folder is changed. */
static void the_reference_page_is_what_the_table_says(void) {
    struct buffer page = {0};
    config_write_reference(&page);
    FILE *file = fopen("docs/reference/config.md", "r");
    CHECK(file != NULL);
    char *written = memory_new(buffer_length(&page) + 2);
    size_t length = fread(written, 1, buffer_length(&page) + 1, file);
    fclose(file);
    if (length != buffer_length(&page) || memcmp(written, buffer_bytes(&page), length))
        fprintf(stderr, "run: build/dev/src/tidewire config reference >docs/reference/config.md\n");
    CHECK_MEM(written, length, buffer_bytes(&page), buffer_length(&page));
    free(written);
    buffer_free(&page);
}

int main(void) {
    unsetenv("TIDEWIRE_LOG_LEVEL");
    unsetenv("TIDEWIRE_LOG_FORMAT");
    RUN(what_is_passed_on_may_keep_more_unless_the_file_says_how_much);
    RUN(the_reference_page_is_what_the_table_says);
    make_folder();
    RUN(every_fault_is_told_with_its_line);
    RUN(a_file_without_keys_has_the_defaults);
    RUN(every_key_is_read);
    RUN(a_bus_has_urls_and_says_who_we_are);
    RUN(a_peer_is_an_upstream_with_an_id);
    RUN(a_route_is_of_http_or_of_a_websocket);
    RUN(words_and_comments_read_as_the_reference_says);
    RUN(variables_are_filled_in);
    RUN(the_environment_goes_before_the_file_for_the_log);
    RUN(included_files_stand_in_the_place_of_their_include);
    RUN(addresses_for_who_watches_are_read);
    RUN(faults_in_included_files_name_them);
    RUN(a_file_that_includes_itself_is_a_fault);
    RUN(includes_are_bounded);
    RUN(a_file_that_is_too_large_is_a_fault);
    RUN(a_file_that_is_not_there_is_a_fault);
    RUN(a_nul_byte_is_a_fault);
    RUN(the_longest_match_owns_a_service);
    RUN(many_services_are_fine);
    RUN(the_nearest_that_names_limits_counts);
    RUN(the_default_file_reads_as_the_defaults);
    RUN(the_default_file_reads_with_its_comments_taken_away);
    remove_folder();
    return 0;
}
