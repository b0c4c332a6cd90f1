/* rpc/status_text.h - a status on the wire: the text of grpc-message, and what HTTP's own endings mean as statuses. */
#ifndef TIDEWIRE_RPC_STATUS_TEXT_H
#define TIDEWIRE_RPC_STATUS_TEXT_H
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

/* A message on the wire is cut here, so that no text makes a header list that peers refuse. */
enum { STATUS_TEXT_MOST = 4096 };

/* Percent-encodes everything outside 0x20…0x7E and '%'; bytes that are no UTF-8 become U+FFFD. Writes at most `most`
 * characters, whole characters of the text only. Returns how many; no NUL. */
size_t status_text_encode(char *out, size_t most, const char *text, size_t length);
/* Appends the text; bytes that are no UTF-8 become U+FFFD. */
void status_text_clean(struct buffer *out, const char *text, size_t length);
/* The same as a string of JSON, in quotes. */
void status_text_quote(struct buffer *out, const char *text, size_t length);
/* Appends the decoded text; a bad escape stays as it is (gRPC over HTTP/2: decoding must not fail). */
void status_text_decode(struct buffer *out, const char *text, size_t length);

/* For an answer without a usable status (grpc/grpc: doc/http-grpc-status-mapping.md). */
enum status status_of_http(int http_status);
/* For a stream that its peer has reset (the same document, and gRPC over HTTP/2 "Errors"). */
enum status status_of_reset(uint32_t http_error);
/* The number of grpc-status; -1 when it is no number of at most three digits. Beyond the table: UNKNOWN. */
int status_parse(const char *text, size_t length);
#endif
