/* http/output_private.h - what one gathered write is put together in: one for all sessions of a thread.
 *
 * Small pieces are copied into the scratch, large ones stand by reference between them; together they are the
 * iovecs of one sendmsg. */
#ifndef TIDEWIRE_HTTP_OUTPUT_PRIVATE_H
#define TIDEWIRE_HTTP_OUTPUT_PRIVATE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct message;

enum {
    OUTPUT_SCRATCH = 256 * 1024,
    OUTPUT_PIECES = 128,
};

struct http_output {
    uint8_t *scratch;
    size_t used;  /* of the scratch */
    size_t total; /* bytes in all pieces */
    int count, kept_count;
    bool was_full; /* nghttp2 was stopped, as there was no room for another frame */
    struct iovec pieces[OUTPUT_PIECES];
    struct message *kept[OUTPUT_PIECES];
};

void http_output_init(struct http_output *output);
void http_output_free(struct http_output *output);
/* After the write: the pieces are gone. */
void http_output_clear(struct http_output *output);
/* So many bytes fit yet, whether copied or referenced. */
size_t http_output_room(const struct http_output *output);
#endif
