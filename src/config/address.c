/* config/address.c - see address.h */
#include "config/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/memory.h"

static bool wrong_form(const char *text, struct error *error) {
    return error_set(error, "\"%s\" is not an address: HOST:PORT, [V6]:PORT, *:PORT or unix:PATH", text);
}

/* A decimal number up to `most`, or -1. */
static long read_number(const char *text, long most) {
    char *end;
    if (!isdigit((unsigned char)*text) || strlen(text) > 9) return -1;
    long number = strtol(text, &end, 10);
    return *end || number > most ? -1 : number;
}

/* IP addresses in the one form that inet_ntop() gives them; names in lower case. */
static char *normal_host(char *host) {
    unsigned char bytes[16];
    char text[INET6_ADDRSTRLEN];
    int family = strchr(host, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, host, bytes) == 1) {
        inet_ntop(family, bytes, text, sizeof text);
        free(host);
        return memory_copy_string(text);
    }
    for (char *at = host; *at; at++) *at = (char)tolower((unsigned char)*at);
    return host;
}

static bool is_host(const char *host, bool is_bracketed) {
    unsigned char bytes[16];
    if (is_bracketed) return inet_pton(AF_INET6, host, bytes) == 1;
    if (!*host || !strcmp(host, "*")) return true;
    bool is_number = strspn(host, "0123456789.") == strlen(host);
    if (is_number) return inet_pton(AF_INET, host, bytes) == 1;
    for (const char *at = host; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr(".-_", *at)) return false;
    return strlen(host) <= 253;
}

static bool parse_unix(const char *text, struct address *address, struct error *error) {
    const char *path = text + strlen("unix:");
    if (!*path) return wrong_form(text, error);
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return error_set(error, "the path of a unix socket has %zu bytes at most",
                         sizeof((struct sockaddr_un *)0)->sun_path - 1);
    address->path = memory_copy_string(path);
    return true;
}

bool address_parse(const char *text, struct address *address, struct error *error) {
    *address = (struct address){0};
    if (!strncmp(text, "unix:", 5)) return parse_unix(text, address, error);
    const char *colon = strrchr(text, ':');
    if (!colon) return wrong_form(text, error);
    bool is_bracketed = *text == '[' && colon > text + 1 && colon[-1] == ']';
    if (!is_bracketed && memchr(text, ':', (size_t)(colon - text)))
        return error_set(error, "\"%s\": an IPv6 address needs brackets, as in [::1]:50051", text);
    long port = read_number(colon + 1, 65535);
    if (port < 0) return error_set(error, "\"%s\" is not a port, 0 to 65535", colon + 1);
    const char *start = text + is_bracketed, *end = colon - is_bracketed;
    char *host = memory_copy(start, (size_t)(end - start));
    if (!is_host(host, is_bracketed)) {
        error_set(error, "\"%s\" is not a host name or an IP address", host);
        free(host);
        return false;
    }
    address->host = normal_host(host);
    address->port = memory_format("%ld", port);
    return true;
}

char *network_parse(const char *text, struct error *error) {
    unsigned char bytes[16];
    if (!strcmp(text, "unix")) return memory_copy_string(text);
    const char *slash = strchr(text, '/');
    char *host = memory_copy(text, slash ? (size_t)(slash - text) : strlen(text));
    int family = strchr(host, ':') ? AF_INET6 : AF_INET;
    bool is_address = inet_pton(family, host, bytes) == 1;
    free(host);
    long most = family == AF_INET ? 32 : 128, bits = slash ? read_number(slash + 1, most) : most;
    if (is_address && bits >= 0)
        return slash ? memory_copy_string(text) : memory_format("%s/%ld", text, most);
    error_set(error, "\"%s\" is not a network, such as 10.0.0.0/8 or fc00::/7, or the word unix", text);
    return NULL;
}
