/* rpc/http_rule.h - what the option google.api.http of a method says (google/api/http.proto), out of its bytes: which
 * requests of plain HTTP are calls of it. */
#ifndef TIDEWIRE_RPC_HTTP_RULE_H
#define TIDEWIRE_RPC_HTTP_RULE_H
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "rpc/request.h"

enum { HTTP_RULES_MOST = 32 /* of one method */ };

/* Points into the bytes. What is not said is empty. */
struct http_rule {
    struct text verb; /* "GET"; "*": any */
    struct text path, body, response_body;
};

/* The rule and its additional bindings, in `rules`, which has HTTP_RULES_MOST places; returns how many. 0, and a sentence:
 * the bytes are no such rule. */
size_t http_rules_read(const uint8_t *bytes, size_t length, struct http_rule *rules, struct error *error);
#endif
