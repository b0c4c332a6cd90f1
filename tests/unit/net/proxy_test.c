#include "net/proxy.h"

#include "base/memory.h"
#include "check.h"
#include "net/address.h"

static char *text_of(const struct sockaddr_storage *address, socklen_t length) {
    return address_format((const struct sockaddr *)address, length);
}

/* Whole, with something behind it; cut at every byte it must ask for more. Exact copies, so that a sanitizer
 * sees a read behind the end. */
static struct proxy_header read_good(const void *bytes, size_t length) {
    struct proxy_header header;
    for (size_t cut = 0; cut < length; cut++) {
        char *copy = memory_resize(NULL, cut ? cut : 1);
        if (cut) memcpy(copy, bytes, cut);
        CHECK_INT(proxy_read((uint8_t *)copy, cut, &header), PROXY_INCOMPLETE);
        free(copy);
    }
    uint8_t *copy = memory_resize(NULL, length + 3);
    memcpy(copy, bytes, length);
    memcpy(copy + length, "\r\nx", 3);
    CHECK_INT(proxy_read(copy, length + 3, &header), PROXY_COMPLETE);
    CHECK_INT(proxy_read(copy, length, &header), PROXY_COMPLETE);
    CHECK_INT(header.length, length);
    free(copy);
    return header;
}

static void check_addresses(const struct proxy_header *header, const char *source, const char *destination) {
    CHECK_INT(header->has_addresses, source != NULL);
    if (!source) return;
    char *from = text_of(&header->source, header->source_length);
    char *to = text_of(&header->destination, header->destination_length);
    CHECK_STR(from, source);
    CHECK_STR(to, destination);
    free(from);
    free(to);
}

static void good_lines_of_version_1_are_read_however_they_are_cut(void) {
    static const struct {
        const char *line, *source, *destination;
    } table[] = {
        {"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324", "192.168.0.11:443"},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535",
         "255.255.255.255:65535"},
        {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0", "0.0.0.0:0"},
        {"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "[2001:db8::1]:1", "[::1]:2"},
        {"PROXY TCP6 ::ffff:10.0.0.1 ::1 1 2\r\n", "10.0.0.1:1", "[::1]:2"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
         "65535\r\n",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"PROXY UNKNOWN\r\n", NULL, NULL},
        {"PROXY UNKNOWN what ever is said here 1 2 3\r\n", NULL, NULL},
        {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "65535 65535\r\n",
         NULL, NULL}, /* 107 bytes: the longest */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct proxy_header header = read_good(table[i].line, strlen(table[i].line));
        check_addresses(&header, table[i].source, table[i].destination);
    }
}

static void check_bad(const void *bytes, size_t length) {
    struct proxy_header header;
    uint8_t *copy = memory_resize(NULL, length);
    memcpy(copy, bytes, length);
    CHECK_INT(proxy_read(copy, length, &header), PROXY_BAD);
    free(copy);
}

static void bad_lines_of_version_1_are_refused(void) {
    static const char *const table[] = {
        "GET / HTTP/1.1\r\n",
        "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY \r\n",
        "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 \r\n",
        "PROXY TCP4 1.2.3.4\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4  1 2\r\n",
        "PROXY TCP4  1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 999999999999 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n",
        "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.256 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP6 ::1%lo ::1 1 2\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        /* 108 bytes, the end of the line too late; then no end at all */
        "PROXY UNKNOWN fffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
        "65535 65535\r\n",
        "PROXY UNKNOWN "
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) check_bad(table[i], strlen(table[i]));
    check_bad("PROXY UNKNOWN\0 x\r\n", 18);
    check_bad("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n", 33);
}

/* Version 2: the fixed part, then addresses, then `extra` bytes. */
struct v2 {
    uint8_t bytes[70000];
    size_t length;
};

static struct v2 *make_v2(uint8_t command, uint8_t family, const void *addresses, size_t length,
                          size_t extra) {
    static struct v2 v2;
    memset(&v2, 0xee, sizeof v2);
    memcpy(v2.bytes, "\r\n\r\n\0\r\nQUIT\n", 12);
    v2.bytes[12] = command;
    v2.bytes[13] = family;
    v2.bytes[14] = (uint8_t)((length + extra) >> 8);
    v2.bytes[15] = (uint8_t)(length + extra);
    if (length) memcpy(v2.bytes + 16, addresses, length);
    v2.length = 16 + length + extra;
    return &v2;
}

static const uint8_t v4_addresses[12] = {10, 0, 0, 1, 10, 0, 0, 2, 0x12, 0x67, 0x01, 0xbb};
static const uint8_t v6_addresses[36] = {
    0x20, 0x01, 0x0d, 0xb8, [15] = 1, [31] = 1, [32] = 0x12, 0x67, 0x01, 0xbb};
static const uint8_t unix_addresses[216] = "/run/client\x01.sock";

static void check_v2(uint8_t command, uint8_t family, const void *addresses, size_t length, size_t extra,
                     const char *source, const char *destination) {
    struct v2 *v2 = make_v2(command, family, addresses, length, extra);
    struct proxy_header header = read_good(v2->bytes, v2->length);
    check_addresses(&header, source, destination);
}

static void good_headers_of_version_2_are_read_however_they_are_cut(void) {
    check_v2(0x21, 0x11, v4_addresses, 12, 0, "10.0.0.1:4711", "10.0.0.2:443");
    check_v2(0x21, 0x11, v4_addresses, 12, 77, "10.0.0.1:4711", "10.0.0.2:443");
    check_v2(0x21, 0x11, v4_addresses, 12, 216 + 4096 - 12, "10.0.0.1:4711", "10.0.0.2:443");
    check_v2(0x21, 0x21, v6_addresses, 36, 0, "[2001:db8::1]:4711", "[::1]:443");
    check_v2(0x21, 0x21, v6_addresses, 36, 5, "[2001:db8::1]:4711", "[::1]:443");
    check_v2(0x21, 0x31, unix_addresses, 216, 0, "unix:/run/client?.sock", "unix:");
    check_v2(0x21, 0x31, unix_addresses, 216, 4096, "unix:/run/client?.sock", "unix:");
    check_v2(0x21, 0x00, NULL, 0, 0, NULL, NULL);
    check_v2(0x21, 0x00, NULL, 0, 30, NULL, NULL);
    check_v2(0x20, 0x00, NULL, 0, 0, NULL, NULL);
    check_v2(0x20, 0x11, v4_addresses, 12, 3, NULL, NULL); /* LOCAL: what it says does not count */
    check_v2(0x20, 0xff, NULL, 0, 3, NULL, NULL);
}

static void check_bad_v2(uint8_t command, uint8_t family, const void *addresses, size_t length,
                         size_t extra) {
    struct v2 *v2 = make_v2(command, family, addresses, length, extra);
    check_bad(v2->bytes, v2->length);
}

static void bad_headers_of_version_2_are_refused(void) {
    check_bad_v2(0x22, 0x11, v4_addresses, 12, 0);
    check_bad_v2(0x11, 0x11, v4_addresses, 12, 0);
    check_bad_v2(0x31, 0x11, v4_addresses, 12, 0);
    check_bad_v2(0x21, 0x11, v4_addresses, 11, 0);
    check_bad_v2(0x21, 0x11, NULL, 0, 0);
    check_bad_v2(0x21, 0x21, v6_addresses, 35, 0);
    check_bad_v2(0x21, 0x31, unix_addresses, 215, 0);
    check_bad_v2(0x21, 0x12, v4_addresses, 12, 0); /* datagrams do not come over a connection */
    check_bad_v2(0x21, 0x41, v4_addresses, 12, 0);
    check_bad_v2(0x21, 0x11, v4_addresses, 12, 216 + 4096 - 12 + 1);
    struct v2 *v2 =
        make_v2(0x21, 0x11, v4_addresses, 12, 65000); /* told by its length, before the bytes have come */
    check_bad(v2->bytes, 16);
    v2 = make_v2(0x21, 0x11, v4_addresses, 12, 0);
    for (size_t i = 0; i < 12; i++) { /* no byte of the signature may differ */
        v2->bytes[i] ^= 1;
        check_bad(v2->bytes, v2->length);
        v2->bytes[i] ^= 1;
    }
}

int main(void) {
    RUN(good_lines_of_version_1_are_read_however_they_are_cut);
    RUN(bad_lines_of_version_1_are_refused);
    RUN(good_headers_of_version_2_are_read_however_they_are_cut);
    RUN(bad_headers_of_version_2_are_refused);
    return 0;
}
