/* Both handler forms: what is returned, how a call lives and ends. */
#include "world.h"

static void a_function_owns_its_stream(void) {
    open_world();
    run_script("local t = {}\n"
               "function t.AccumulateNumbers(stream)\n"
               "  local sum = 0\n"
               "  for request in stream:messages() do sum = sum + request.num stream:send { sum = sum } end\n"
               "end\n"
               "return t");
    struct test_call *call = open_call(NUMBERS);
    for (int i = 1; i <= 4; i++) say_number(call, (uint64_t)i);
    CHECK_STR(sent(call), "1,3,6,10");
    CHECK_STR(status_of(call), "open");
    half_close(call);
    CHECK_STR(status_of(call), "OK");
    CHECK(call->is_closed);
    close_world();
}

static void a_table_of_hooks_answers_each_message(void) {
    open_world();
    run_script("return { AccumulateNumbers = { on_message = function(stream, m)\n"
               "  local sum = (stream.ctx.sum or 0) + m.num stream.ctx.sum = sum return { sum = sum } end } }");
    struct test_call *call = open_call(NUMBERS);
    CHECK(call->has_headers);
    for (int i = 1; i <= 4; i++) say_number(call, (uint64_t)i);
    CHECK_STR(sent(call), "1,3,6,10");
    half_close(call);
    CHECK_STR(status_of(call), "OK");
    close_world();
}

static void what_a_unary_function_returns_is_the_reply(void) {
    open_world();
    run_script("return { Greet = function(stream, request) return { greeting = 'hi ' .. request.name } end }");
    struct test_call *call = unary(GREET, "ann");
    CHECK_STR(sent(call), "hi ann");
    CHECK_STR(status_of(call), "OK");
    close_world();
}

int main(int count, char **arguments) {
    (void)arguments;
    for (int jit = 0; jit < 2; jit++) {
        world.is_jit = jit;
        fprintf(stderr, "jit = %s\n", jit ? "on" : "off");
        RUN(a_function_owns_its_stream);
        RUN(a_table_of_hooks_answers_each_message);
        RUN(what_a_unary_function_returns_is_the_reply);
    }
    return count == 0;
}
