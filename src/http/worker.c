/* http/worker.c - what all sessions of a thread share. */
#include "http/session_private.h"

#include <stdio.h>
#include <stdlib.h>

static int on_stream_close(nghttp2_session *h2, int32_t id, uint32_t error, void *user_data) {
    struct http_stream *stream = http_stream_find(user_data, id);
    (void)h2;
    if (stream) http_stream_closed(stream, error, false);
    return 0;
}

struct http_worker *http_worker_new(struct loop *loop) {
    enum { STREAMS_KEPT = 4096 };
    struct http_worker *worker = memory_new(sizeof *worker);
    worker->loop = loop;
    list_init(&worker->sessions);
    worker->memory = http_memory_new();
    pool_init(&worker->streams, sizeof(struct http_stream), STREAMS_KEPT);
    http_output_init(&worker->output);
    if (nghttp2_session_callbacks_new(&worker->callbacks) != 0)
        abort(); /* out of memory: nothing else can fail here */
    nghttp2_session_callbacks_set_on_stream_close_callback(worker->callbacks, on_stream_close);
    http_input_set_callbacks(worker->callbacks);
    http_output_set_callbacks(worker->callbacks);
    return worker;
}

void http_worker_free(struct http_worker **worker_p) {
    struct http_worker *worker = *worker_p;
    if (!worker) return;
    while (!list_is_empty(&worker->sessions))
        http_session_cut(container_of(worker->sessions.next, struct http_session, node), "the worker ends");
    nghttp2_session_callbacks_del(worker->callbacks);
    pool_clear(&worker->streams);
    http_fields_free(&worker->fields);
    http_memory_unref(&worker->memory);
    http_output_free(&worker->output);
    free(worker->request);
    free(worker->names_values);
    free(worker);
    *worker_p = NULL;
}

const char *http_versions(void) {
    static char text[32];
    snprintf(text, sizeof text, "nghttp2 %s", nghttp2_version(0)->version_str);
    return text;
}
