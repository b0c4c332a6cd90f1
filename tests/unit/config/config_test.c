#include "config/config.h"

#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
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
    {LISTEN "upstream numbers { target = a }", "t.conf:2: error: this version does not serve `upstream` yet"},
    {LISTEN "shared_dict tokens { size = 1MiB }",
     "t.conf:2: error: this version does not serve `shared_dict` yet"},
    {LISTEN "admin \"127.0.0.1:1\" { }", "t.conf:2: error: this version does not serve `admin` yet"},
    {LISTEN "limits { messages_per_second = 5 }",
     "t.conf:2: error: this version does not serve `messages_per_second` yet"},
    {GREET "service a.B {\n upstream = \"numbers\" }",
     "t.conf:4: error: this version does not serve `upstream` yet"},
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
    /* services */
    {GREET "service a.B {\n}", "t.conf:3: error: `service \"a.B\"` needs a `script`"},
    {GREET "service a.B {\nscript = { greet.lua, chat.lua } }",
     "t.conf:4: error: chained scripts are not served yet: name one"},
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

int main(void) {
    unsetenv("TIDEWIRE_LOG_LEVEL");
    unsetenv("TIDEWIRE_LOG_FORMAT");
    make_folder();
    RUN(every_fault_is_told_with_its_line);
    remove_folder();
    return 0;
}
