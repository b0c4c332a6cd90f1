/* Limits that scripts ask: what they let through, over reloads, and what misuse says. */
#include "world.h"

static const char script[] =
    "local tidewire = require 'tidewire' local limit = tidewire.limit { name = 'greets', rate = 2, burst = 3 }\n"
    "return { Greet = function(_, request) local taken, why, seconds = limit:take(request.name)\n"
    "  return { greeting = taken and 'yes' or why .. ' ' .. seconds } end }";

static void a_limit_lets_through_what_it_says_for_each_key(void) {
    run_script(script);
    for (int i = 0; i < 3; i++) CHECK_STR(sent(unary(GREET, "ann")), "yes");
    CHECK_STR(sent(unary(GREET, "ann")), "limited 0.5");
    CHECK_STR(sent(unary(GREET, "eve")), "yes");
    advance(0.5);
    CHECK_STR(sent(unary(GREET, "ann")), "yes");
    CHECK_STR(sent(unary(GREET, "ann")), "limited 0.5");
}

static void a_reload_gives_nobody_a_new_burst(void) {
    run_script(script);
    for (int i = 0; i < 3; i++) CHECK_STR(sent(unary(GREET, "ann")), "yes");
    run_script(script);
    CHECK_STR(sent(unary(GREET, "ann")), "limited 0.5");
}

static void misuse_says_what_was_expected(void) {
    run_script("local tidewire = require 'tidewire' local l = tidewire.limit { name = 'a', rate = 1 }\n"
               "print(pcall(tidewire.limit)) print(pcall(tidewire.limit, { rate = 1 })) print(pcall(tidewire.limit, { name = 'a' }))\n"
               "print(pcall(tidewire.limit, { name = 'a', rate = 0/0 })) print(pcall(tidewire.limit, { name = 'a', rate = 1, burst = 0 }))\n"
               "print(pcall(tidewire.limit, { name = 'a', rate = 1, keys = 0.5 })) print(pcall(tidewire.limit, { name = 'a', rat = 1 }))\n"
               "print(pcall(l.take, l)) print(pcall(l.take, l, 'k', 'x')) print(pcall(l.take, l, 'k', 0/0))\n"
               "print(pcall(l.take, l, ('k'):rep(1025))) print('numbers', l:take(7), (l:take('7'))) print('much', l:take('k', 2)) return {}");
    CHECK_INT(times_logged("expected tidewire.limit {"), 3);
    CHECK_INT(times_logged("rate is how many a second"), 2);
    CHECK(logged("burst is how many at once") && logged("keys is a whole number") && logged("did you mean \"rate\"?"));
    CHECK_INT(times_logged("expected limit:take(key[, n])"), 3);
    CHECK(logged("a key has at most 1024 bytes") && logged("numbers\ttrue\tnil") && logged("much\tnil\tlimited\tinf"));
}

#define RUN_IN_WORLD(test) do { open_world(); RUN(test); close_world(); } while (0)

int main(void) {
    RUN_IN_WORLD(a_limit_lets_through_what_it_says_for_each_key);
    RUN_IN_WORLD(a_reload_gives_nobody_a_new_burst);
    RUN_IN_WORLD(misuse_says_what_was_expected);
    return 0;
}
