/* net/proxy.c - see proxy.h */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

enum {
    V1_MOST = 107, /* the longest line that the protocol allows, CRLF included */
    V2_FIXED = 16,
};

static const uint8_t v2_signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                         0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

static void set_v4(struct sockaddr_storage *to, socklen_t *length, const void *address, uint16_t port) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
    memcpy(&v4.sin_addr, address, sizeof v4.sin_addr);
    memcpy(to, &v4, *length = sizeof v4);
}

static void set_v6(struct sockaddr_storage *to, socklen_t *length, const void *address, uint16_t port) {
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
    memcpy(&v6.sin6_addr, address, sizeof v6.sin6_addr);
    memcpy(to, &v6, *length = sizeof v6);
}

static void set_path(struct sockaddr_storage *to, socklen_t *length, const uint8_t *path) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, sizeof un.sun_path);
    memcpy(to, &un, *length = sizeof un);
}

/* The next word of a line of words with one space between them; NULL when there is none. Cuts the line. */
static char *take_word(char **line) {
    char *word = *line;
    if (!word || !*word) return NULL;
    char *space = strchr(word, ' ');
    if (space) *space = '\0';
    *line = space ? space + 1 : NULL;
    return *word ? word : NULL;
}

/* Decimal without leading zeros. */
static bool read_port(const char *word, uint16_t *port) {
    unsigned value = 0;
    if (!word || !*word || strlen(word) > 5 || (word[0] == '0' && word[1])) return false;
    for (; *word; word++) {
        if (*word < '0' || *word > '9') return false;
        value = value * 10 + (unsigned)(*word - '0');
    }
    *port = htons((uint16_t)value);
    return value <= 65535;
}

static bool read_v1_addresses(char *line, bool is_v6, struct proxy_header *header) {
    const char *source = take_word(&line), *destination = take_word(&line);
    const char *source_port = take_word(&line), *destination_port = take_word(&line);
    struct in6_addr from, to;
    uint16_t from_port, to_port;
    int family = is_v6 ? AF_INET6 : AF_INET;
    if (line || !source || !destination) return false;
    if (!read_port(source_port, &from_port) || !read_port(destination_port, &to_port)) return false;
    if (inet_pton(family, source, &from) != 1 || inet_pton(family, destination, &to) != 1) return false;
    (is_v6 ? set_v6 : set_v4)(&header->source, &header->source_length, &from, from_port);
    (is_v6 ? set_v6 : set_v4)(&header->destination, &header->destination_length, &to, to_port);
    return header->has_addresses = true;
}

static enum proxy_result read_v1(const uint8_t *bytes, size_t length, struct proxy_header *header) {
    if (length > V1_MOST) length = V1_MOST;
    const uint8_t *end = memmem(bytes, length, "\r\n", 2);
    if (!end) return length < V1_MOST ? PROXY_INCOMPLETE : PROXY_BAD;
    char text[V1_MOST], *line = text;
    size_t text_length = (size_t)(end - bytes);
    memcpy(text, bytes, text_length);
    text[text_length] = '\0';
    if (strlen(text) != text_length) return PROXY_BAD;

    *header = (struct proxy_header){.length = text_length + 2};
    const char *proxy = take_word(&line), *protocol = take_word(&line);
    if (!proxy || !protocol || strcmp(proxy, "PROXY") != 0) return PROXY_BAD;
    if (strcmp(protocol, "UNKNOWN") == 0)
        return PROXY_COMPLETE; /* whatever follows on the line is to be ignored */
    bool is_v6 = strcmp(protocol, "TCP6") == 0;
    if (!is_v6 && strcmp(protocol, "TCP4") != 0) return PROXY_BAD;
    return read_v1_addresses(line, is_v6, header) ? PROXY_COMPLETE : PROXY_BAD;
}

static uint16_t port_at(const uint8_t *bytes) {
    uint16_t port;
    memcpy(&port, bytes, sizeof port);
    return port;
}

/* The second half of version 2's family byte must be STREAM: nothing else comes over a connection. */
static bool read_v2_addresses(uint8_t family, const uint8_t *bytes, size_t length,
                              struct proxy_header *header) {
    switch (family) {
    case 0x00: return true;
    case 0x11:
        if (length < 12) return false;
        set_v4(&header->source, &header->source_length, bytes, port_at(bytes + 8));
        set_v4(&header->destination, &header->destination_length, bytes + 4, port_at(bytes + 10));
        return header->has_addresses = true;
    case 0x21:
        if (length < 36) return false;
        set_v6(&header->source, &header->source_length, bytes, port_at(bytes + 32));
        set_v6(&header->destination, &header->destination_length, bytes + 16, port_at(bytes + 34));
        return header->has_addresses = true;
    case 0x31:
        if (length < 216) return false;
        set_path(&header->source, &header->source_length, bytes);
        set_path(&header->destination, &header->destination_length, bytes + 108);
        return header->has_addresses = true;
    default: return false;
    }
}

static enum proxy_result read_v2(const uint8_t *bytes, size_t length, struct proxy_header *header) {
    if (length < V2_FIXED) return PROXY_INCOMPLETE;
    enum { LOCAL = 0x20, PROXY = 0x21 };
    uint8_t command = bytes[12];
    size_t rest = (size_t)bytes[14] << 8 | bytes[15];
    if ((command != LOCAL && command != PROXY) || V2_FIXED + rest > PROXY_MOST) return PROXY_BAD;
    if (length < V2_FIXED + rest) return PROXY_INCOMPLETE;
    *header = (struct proxy_header){.length = V2_FIXED + rest};
    if (command == LOCAL)
        return PROXY_COMPLETE; /* the balancer itself, a health check: its family does not count */
    return read_v2_addresses(bytes[13], bytes + V2_FIXED, rest, header) ? PROXY_COMPLETE : PROXY_BAD;
}

static bool begins_like(const uint8_t *bytes, size_t length, const void *signature, size_t signature_length) {
    return memcmp(bytes, signature, length < signature_length ? length : signature_length) == 0;
}

enum proxy_result proxy_read(const uint8_t *bytes, size_t length, struct proxy_header *header) {
    if (!length) return PROXY_INCOMPLETE;
    if (begins_like(bytes, length, "PROXY ", 6)) return read_v1(bytes, length, header);
    if (begins_like(bytes, length, v2_signature, sizeof v2_signature)) return read_v2(bytes, length, header);
    return PROXY_BAD;
}
