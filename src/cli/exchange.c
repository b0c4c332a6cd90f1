/* cli/exchange.c - see exchange.h
 *
 *   input → requests → call → responses → output
 *
 * Each arrow stops when what it leads to is full, and goes on when that tells. A streaming call is opened
 * at once, since its server may speak first. A sole request is held until the input has ended, so that a
 * second one is refused before anything was done about the first. */
#include "cli/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "cli/harmless.h"
#include "cli/input.h"
#include "cli/output.h"
#include "cli/report.h"
#include "net/loop.h"
#include "rpc/call.h"
#include "schema/json.h"

struct exchange {
    struct remote *remote;
    const struct method *method;
    struct types *types;
    struct input *input;
    struct output *output;
    struct call *call;     /* NULL: not yet, or not any more */
    struct buffer request; /* a sole one, held */
    bool has_request;
    bool has_all_requests; /* or needs no more of them */
    bool is_closed;        /* the call is over, or will not be made */
    bool has_failed;       /* by our own fault, and that was said */
    bool is_done;
    enum status status;
    char *text;
    struct buffer details;
};

/* The output is written to its end before the loop stops. */
static void settle(struct exchange *exchange) {
    if (!exchange->is_closed || !output_is_empty(exchange->output)) return;
    exchange->is_done = true;
    loop_stop(exchange->remote->loop);
}

/* Cancels what is open. `text` NULL: nothing needs to be said. */
static void fail(struct exchange *exchange, const char *text) {
    if (text) harmless_print(stderr, text);
    exchange->has_failed = exchange->has_all_requests = true;
    if (exchange->call) call_reset(exchange->call, HTTP_CANCEL); /* on_close comes */
    else exchange->is_closed = true;
    settle(exchange);
}

/* ---- requests ---- */

static const struct call_handler handler;

static void open_call(struct exchange *exchange) {
    remote_open_call(exchange->remote, exchange->method, &handler, exchange);
    exchange->call = exchange->remote->call;
}

static bool read_request(const struct exchange *exchange, const struct input_value *value, struct buffer *out,
                         struct error *error) {
    size_t line = 1;
    const struct json_options options = {.schema = exchange->types->schema, .fault_line = &line};
    struct error reason;
    return json_read(exchange->method->request, value->text, value->length, &options, out, &reason) ||
           error_at(error, input_name(exchange->input), (int)(value->line + line - 1), "%s", reason.text);
}

static bool hold_request(struct exchange *exchange, const struct input_value *value, struct error *error) {
    if (exchange->has_request)
        return error_at(error, input_name(exchange->input), (int)value->line,
                        "a second message, but %s has one request", exchange->method->full_name);
    exchange->has_request = true;
    return read_request(exchange, value, &exchange->request, error);
}

static bool send_request(struct exchange *exchange, const struct input_value *value, struct error *error) {
    struct buffer *out = call_begin_message(exchange->call);
    if (!out) return true; /* the server has ended the call; its status comes */
    bool is_good = read_request(exchange, value, out, error);
    if (is_good) call_end_message(exchange->call);
    else call_abandon_message(exchange->call);
    return is_good;
}

static bool take_request(struct exchange *exchange, const struct input_value *value, struct error *error) {
    return exchange->method->is_client_streaming ? send_request(exchange, value, error)
                                                 : hold_request(exchange, value, error);
}

/* No input is an empty message where there must be one. */
static void end_requests(struct exchange *exchange) {
    exchange->has_all_requests = true;
    if (!exchange->method->is_client_streaming) {
        open_call(exchange);
        call_send_bytes(exchange->call, buffer_bytes(&exchange->request), buffer_length(&exchange->request));
    }
    call_half_close(exchange->call);
}

/* At a terminal a sole request is whole when its line is. */
static bool is_whole(const struct exchange *exchange) {
    return !exchange->method->is_client_streaming && exchange->has_request &&
           input_is_terminal(exchange->input);
}

static void pump_requests(struct exchange *exchange) {
    struct input_value value;
    struct error error;
    while (!exchange->has_all_requests && !(exchange->call && call_is_full(exchange->call))) {
        enum input_next next = input_take(exchange->input, &value, &error);
        if (next == INPUT_EMPTY) return;
        if (next == INPUT_FAULT || (next == INPUT_VALUE && !take_request(exchange, &value, &error)))
            fail(exchange, error.text);
        else if (next == INPUT_END || is_whole(exchange))
            end_requests(exchange);
    }
}

static void on_input(void *context) { pump_requests(context); }
static void on_writable(struct call *call) { pump_requests(call->data); }

/* ---- responses ---- */

/* One that has no form in JSON is told of and left out; the others still matter. */
static void write_response(struct exchange *exchange, const struct call_message *message) {
    const struct json_options options = {.schema = exchange->types->schema};
    struct buffer *out = output_text(exchange->output);
    struct error error;
    if (json_write(exchange->method->response, message->data, message->length, &options, out, &error)) {
        buffer_append_byte(out, '\n');
        return;
    }
    fputs("tidewire call: a response has no form in JSON: ", stderr);
    harmless_print(stderr, error.text);
    exchange->has_failed = true;
}

/* Who has closed our output (head, a pager) knows that and needs no words. */
static bool output_is_gone(struct exchange *exchange) {
    int fault = output_fault(exchange->output);
    if (!fault) return false;
    struct error error;
    error_set(&error, "tidewire: standard output: %s", strerror(fault));
    if (!exchange->has_failed) fail(exchange, fault == EPIPE ? NULL : error.text);
    return true;
}

static void pump_responses(struct exchange *exchange) {
    struct call_message message;
    while (exchange->call && !output_is_full(exchange->output) &&
           call_receive(exchange->call, &message) == CALL_MESSAGE) {
        write_response(exchange, &message);
        output_flush(exchange->output);
        if (output_is_gone(exchange)) return;
    }
}

static void on_readable(struct call *call) { pump_responses(call->data); }

static void on_output(void *context) {
    struct exchange *exchange = context;
    if (output_is_gone(exchange)) return;
    pump_responses(exchange);
    settle(exchange);
}

static void on_headers(struct call *call) {
    const struct exchange *exchange = call->data;
    if (exchange->remote->options->is_verbose) report_metadata("header", call->metadata);
}

static void on_close(struct call *call, enum status status, const char *text) {
    struct exchange *exchange = call->data;
    size_t place = 0;
    const struct metadata *trailers = call_peer_trailers(call);
    const struct metadata_entry *details = metadata_find(trailers, "grpc-status-details-bin", 23, &place);
    if (exchange->remote->options->is_verbose) report_metadata("trailer", trailers);
    remote_call_closed(exchange->remote);
    exchange->call = NULL;
    exchange->has_all_requests = exchange->is_closed = true;
    exchange->status = status;
    exchange->text = memory_copy_string(text);
    if (details) buffer_append(&exchange->details, details->value, details->value_length);
    settle(exchange);
}

static const struct call_handler handler = {
    .on_readable = on_readable, .on_writable = on_writable, .on_headers = on_headers, .on_close = on_close};

/* ---- the whole ---- */

static bool begin(struct exchange *exchange) {
    struct remote *remote = exchange->remote;
    const char *data = remote->options->data;
    struct error error;
    exchange->output = output_new(remote->loop, STDOUT_FILENO, on_output, exchange);
    exchange->input = input_open(remote->loop, data, on_input, exchange, &error);
    if (!exchange->input) {
        fprintf(stderr, "%s\n", error.text);
        return false;
    }
    if (input_is_terminal(exchange->input))
        fprintf(stderr, exchange->method->is_client_streaming
                            ? "tidewire call: reads JSON messages until ^D\n"
                            : "tidewire call: reads one JSON message\n");
    if (exchange->method->is_client_streaming) open_call(exchange);
    pump_requests(exchange);
    return true;
}

static int report(struct exchange *exchange) {
    if (exchange->has_failed && exchange->status == STATUS_CANCELLED) return EXIT_FAILED;
    if (exchange->status == STATUS_OK) return exchange->has_failed ? EXIT_FAILED : EXIT_FINE;
    report_status(exchange->status, exchange->text, buffer_bytes(&exchange->details),
                  buffer_length(&exchange->details), exchange->types);
    return EXIT_FAILED;
}

static void release(struct exchange *exchange) {
    input_close(&exchange->input);
    output_free(&exchange->output);
    buffer_free(&exchange->request);
    buffer_free(&exchange->details);
    free(exchange->text);
}

int exchange_run(struct remote *remote, const struct method *method, struct types *types) {
    struct exchange exchange = {.remote = remote, .method = method, .types = types};
    int exit_code = EXIT_FAILED;
    if (begin(&exchange) && remote_wait(remote, &exchange.is_done)) exit_code = report(&exchange);
    release(&exchange);
    return exit_code;
}
