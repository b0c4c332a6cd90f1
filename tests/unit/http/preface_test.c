#include "http/rig.h"

static void a_client_of_http1_is_known_however_its_method_begins(void) {
    static const char *const requests[] = {"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
                                           "GET / HTTP/1.1\r\nHost: a\r\n\r\n"};
    for (int i = 0; i < 3; i++) {
        for (size_t cut = 1; cut < 6; cut++) { /* "P" and "PR" might still be the preface */
            struct rig rig;
            struct side *side = rig_open_one(&rig, &usual_limits, true);
            put_bytes(&rig, requests[i], cut);
            for (int j = 0; j < 3; j++) turn(&rig);
            put_bytes(&rig, requests[i] + cut, strlen(requests[i]) - cut);
            WAIT(&rig, side->opened == 1);
            CHECK_INT(http_stream_version(exchange_at(side, 0)->stream), HTTP_1_1);
            CHECK_INT(buffer_length(&rig.wire), 0);
            rig_close(&rig);
        }
    }
}

static void what_is_no_http_is_refused(void) {
    static const char tls[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client hello";
    static const char junk[] = "PRI IS NO METHOD OF HTTP/1.1\r\n\r\n";
    static const char nearly[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r ";
    static const struct { const char *bytes; size_t length; } cases[] = {
        {tls, sizeof tls - 1}, {junk, sizeof junk - 1}, {nearly, sizeof nearly - 1}};
    for (int i = 0; i < 3; i++) {
        struct rig rig;
        struct side *side = rig_open_one(&rig, &usual_limits, true);
        put_bytes(&rig, cases[i].bytes, cases[i].length);
        struct frame frame = wait_frame(&rig, GOAWAY);
        CHECK_INT(read_number(frame.payload + 4), HTTP_PROTOCOL_ERROR);
        WAIT(&rig, rig.has_peer_closed);
        close(rig.fd);
        rig.fd = -1;
        WAIT(&rig, !side->session);
        CHECK_STR(side->reason, "the client doesn't speak HTTP");
        rig_close(&rig);
    }
}

static void nothing_is_written_before_the_preface(void) {
    struct rig rig;
    rig_open_one(&rig, &usual_limits, true);
    put_bytes(&rig, client_magic, 23);
    for (int i = 0; i < 5; i++) turn(&rig);
    CHECK_INT(buffer_length(&rig.wire), 0);
    put_bytes(&rig, client_magic + 23, 1);
    put_frame(&rig, SETTINGS, 0, 0, NULL, 0);
    struct frame frame;
    WAIT(&rig, next_frame(&rig, &frame));
    CHECK_INT(frame.type, SETTINGS);
    rig_close(&rig);
}

static uint32_t setting(const struct frame *settings, int id) {
    for (uint32_t i = 0; i < settings->length; i += 6)
        if (settings->payload[i] * 256 + settings->payload[i + 1] == id) return read_number(settings->payload + i + 2);
    return UINT32_MAX;
}

static void settings_tell_the_limits(void) {
    struct rig rig;
    rig_open_one(&rig, &usual_limits, true);
    put_preface(&rig);
    struct frame frame = wait_frame(&rig, SETTINGS);
    CHECK_INT(setting(&frame, 3), usual_limits.streams);
    CHECK_INT(setting(&frame, 4), usual_limits.stream_window);
    CHECK_INT(setting(&frame, 6), (long long)usual_limits.headers);
    CHECK_INT(setting(&frame, 8), 1); /* extended CONNECT */
    CHECK_INT(setting(&frame, 9), 1);
    frame = wait_frame(&rig, WINDOW_UPDATE);
    CHECK_INT(read_number(frame.payload), usual_limits.connection_window - 65535);
    rig_close(&rig);
}

int main(void) {
    RUN(a_client_of_http1_is_known_however_its_method_begins);
    RUN(what_is_no_http_is_refused);
    RUN(nothing_is_written_before_the_preface);
    RUN(settings_tell_the_limits);
    return 0;
}
