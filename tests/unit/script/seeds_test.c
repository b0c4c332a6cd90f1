/* The example scripts of scripts/, with the exchanges of the clients that they were written for. */
#include "world.h"

static void run_seed(const char *name) {
    char *path = memory_format("scripts/%s", name), *text = memory_new(1 << 16);
    FILE *file = fopen(path, "r");
    CHECK(file);
    text[fread(text, 1, (1 << 16) - 1, file)] = 0;
    fclose(file);
    /* All four services have the script; it answers its own methods only. */
    struct version *version = new_version(), *before = world.version;
    struct error error;
    write_file(name, text);
    const char *service = strcmp(name, "greet.lua") == 0      ? "greet.GreetService"
                          : strcmp(name, "tutorial.lua") == 0 ? "tutorial.NumberService"
                          : strcmp(name, "chat.lua") == 0     ? "chat.ChatService"
                                                              : "logger.Logger";
    add_service(version, service, name);
    version->generation =
        generation_load(world.script, &version->config, version->schema, version->dicts, 1, world_gone, version, &error);
    if (!version->generation) fprintf(stderr, "%s\n", error.text);
    CHECK(version->generation && !before);
    generation_add_routes(version->generation, &version->router);
    generation_start(version->generation);
    generation_begin(version->generation);
    world.version = version;
    free(path);
    free(text);
    settle();
}

static void greet_answers_in_four_shapes(void) {
    run_seed("greet.lua");
    CHECK_STR(sent(unary(GREET, "triple")), "triple");
    CHECK_STR(sent(unary(GREET_SERVER, "triple")), "triple,triple,triple,triple,triple");
    struct test_call *client = open_call(GREET_CLIENT), *both = open_call(GREET_STREAM);
    for (int i = 0; i < 5; i++) say_text(client, 1, "triple");
    half_close(client);
    CHECK_STR(sent(client), "triple,triple,triple,triple,triple");
    CHECK_INT(client->out_count, 1);
    say_text(both, 1, "triple");
    CHECK_STR(sent(both), "triple");
    half_close(both);
    CHECK_STR(status_of(both), "OK");
}

static void tutorial_sums(void) {
    run_seed("tutorial.lua");
    struct test_call *call = open_call(NUMBERS);
    for (uint64_t i = 1; i <= 10; i++) say_number(call, i);
    CHECK_STR(sent(call), "1,3,6,10,15,21,28,36,45,55");
    half_close(call);
    CHECK_STR(status_of(call), "OK");
}

static void chat_tells_everyone_and_says_hello_every_five_seconds(void) {
    run_seed("chat.lua");
    struct test_call *a = open_call(CHAT), *b = open_call(CHAT);
    say_text(a, 1, "Client");
    CHECK_STR(sent(a), "Server,Client");
    CHECK_STR(sent(b), "Server,Client");
    half_close(a);
    CHECK_STR(status_of(a), "OK");
    advance(10);
    CHECK_STR(sent(a), "Server,Client");
    CHECK_STR(sent(b), "Server,Client,Server,Server");
}

static void logger_sends_what_matches_the_filter_of_the_moment(void) {
    run_seed("monitor.lua");
    struct test_call *call = open_call("logger.Logger/Monitor");
    advance(2);
    CHECK_INT(call->out_count, 0); /* nothing before the first filter */
    put_number(call, 4); /* minimum_level = LEVEL_ERROR */
    tell_readable(call);
    advance(5);
    size_t errors = call->out_count;
    CHECK(errors >= 4 && errors <= 6);
    put_number(call, 0);
    tell_readable(call);
    advance(5);
    CHECK(call->out_count - errors >= 24 && call->out_count - errors <= 26);
    half_close(call);
    CHECK_STR(status_of(call), "OK");
    CHECK(!logged("failed"));
}

#define RUN_IN_WORLD(test) open_world(); RUN(test); close_world()

int main(void) {
    RUN_IN_WORLD(greet_answers_in_four_shapes);
    RUN_IN_WORLD(tutorial_sums);
    RUN_IN_WORLD(chat_tells_everyone_and_says_hello_every_five_seconds);
    RUN_IN_WORLD(logger_sends_what_matches_the_filter_of_the_moment);
    return 0;
}
