#include "rpc/router.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "check.h"
#include "rpc/path_template.h"
#include "rpc/router_private.h"

static const struct method greet = {.full_name = "greet.Service/Greet"},
                           part = {.full_name = "greet.Service/Gree"};
static const struct call_limits limits = {.message = 5};

static const struct call_route *find(struct router *router, const char *service, const char *method,
                                     bool *is_known) {
    return router_find(router, service, strlen(service), method, strlen(method), is_known);
}

static void methods_are_found_by_their_whole_names(void) {
    struct router *router = router_new(9, NULL, NULL);
    int data;
    bool is_known;
    router_add(router, &part, NULL, NULL, &limits);
    router_add(router, &greet, NULL, &data, &limits);
    const struct call_route *route = find(router, "greet.Service", "Greet", &is_known);
    CHECK(route && route->method == &greet && route->data == &data && route->limits.message == 5 && is_known);
    CHECK(find(router, "greet.Service", "Gree", &is_known)->method == &part);
    CHECK(!find(router, "greet.Service", "greet", &is_known) && is_known);
    CHECK(!find(router, "greet.Servic", "e/Greet", &is_known) && !is_known);
    CHECK(!find(router, "", "", &is_known) && !is_known);
    char name[4096];
    memset(name, 'x', sizeof name);
    CHECK(!router_find(router, name, sizeof name, name, sizeof name, &is_known) && !is_known);
    CHECK_INT(router_generation(router), 9);
    router_free(&router);
}

static void adding_a_method_again_replaces_it(void) {
    struct router *router = router_new(1, NULL, NULL);
    int one, two;
    bool is_known;
    router_add(router, &greet, NULL, &one, &limits);
    router_add(router, &greet, NULL, &two, &limits);
    CHECK(find(router, "greet.Service", "Greet", &is_known)->data == &two);
    router_free(&router);
}

static void the_longest_pattern_counts(void) {
    static const struct call_handler handler = {0};
    struct router *router = router_new(1, NULL, NULL);
    int all, package, service;
    bool is_known;
    router_add(router, &greet, NULL, NULL, &limits);
    CHECK(!find(router, "old.Service", "M", &is_known));
    router_add_pattern(router, "*", &handler, &all, &limits);
    router_add_pattern(router, "old.*", &handler, &package, &limits);
    router_add_pattern(router, "old.deep.Service", &handler, &service, &limits);
    router_add_pattern(router, "old.mine.*", NULL, NULL, &limits);
    CHECK(find(router, "x", "M", &is_known)->data == &all);
    CHECK(find(router, "x.y.Z", "M", &is_known)->data == &all);
    CHECK(find(router, "", "", &is_known)->data == &all);
    CHECK(find(router, "old", "M", &is_known)->data == &all);
    CHECK(find(router, "older.Service", "M", &is_known)->data == &all);
    CHECK(find(router, "old.Service", "M", &is_known)->data == &package);
    CHECK(find(router, "old.deep.Services", "M", &is_known)->data == &package);
    CHECK(find(router, "old.deep.Service", "M", &is_known)->data == &service);
    CHECK(!find(router, "old.deep.Service", "M", &is_known)->method);
    CHECK(!find(router, "old.mine.Service", "M", &is_known) && !is_known);
    CHECK(!find(router, "greet.Service", "Unknown", &is_known) && is_known);
    CHECK(find(router, "greet.Service", "Greet", &is_known)->method == &greet);
    char name[4096];
    memset(name, '.', sizeof name);
    CHECK(router_find(router, name, 500, name, 11, &is_known)->data == &all);
    CHECK(!router_find(router, name, 500, name, 12, &is_known));
    CHECK(!router_find(router, name, sizeof name, name, 1, &is_known));
    router_free(&router);
}

static void the_rest_of_a_service_has_a_pattern_of_its_own(void) {
    static const struct call_handler handler = {0};
    struct router *router = router_new(1, NULL, NULL);
    int rest;
    bool is_known;
    router_add(router, &greet, NULL, NULL, &limits);
    router_add_pattern(router, "greet.Service", NULL, NULL, &limits); /* taken; what follows replaces that */
    router_add_rest(router, "greet.Service", &handler, &rest, &limits);
    CHECK(find(router, "greet.Service", "Greet", &is_known)->method == &greet);
    CHECK(find(router, "greet.Service", "Unknown", &is_known)->data == &rest);
    CHECK(!find(router, "greet.Service", "Unknown", &is_known)->method);
    CHECK(!find(router, "greet.Services", "Unknown", &is_known));
    router_free(&router);
}

static void count(void *context) { ++*(int *)context; }

static void idle_is_told_once_after_retirement(void) {
    int idle = 0;
    bool is_known;
    struct router *router = router_new(1, count, &idle);
    router_add(router, &greet, NULL, NULL, &limits);
    const struct call_route *route = find(router, "greet.Service", "Greet", &is_known);
    router_call_opened(route);
    router_call_closed(route);
    CHECK_INT(idle, 0);
    router_call_opened(route);
    router_call_opened(route);
    router_retire(router);
    router_call_closed(route);
    CHECK_INT(router_call_count(router), 1);
    CHECK_INT(idle, 0);
    router_call_closed(route);
    CHECK_INT(idle, 1);
    router_retire(router);
    CHECK_INT(idle, 1);
    router_free(&router);

    router = router_new(2, count, &idle);
    router_retire(router);
    CHECK_INT(idle, 2);
    router_free(&router);
}

/* ---- paths ---- */

static unsigned draw(unsigned most) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % most;
}

/* Of few words, so that many begin with the same ones, and are the same but for their ends. */
static void write_path(struct buffer *out, const char *const *words, unsigned count) {
    static const char *const verbs[] = {"", "", ":list", ":a"};
    buffer_clear(out);
    for (unsigned left = draw(5); left; left--) buffer_format(out, "/%s", words[draw(count)]);
    if (!buffer_length(out)) buffer_append_byte(out, '/');
    buffer_append_text(out, verbs[draw(4)]);
    buffer_append_byte(out, 0);
}

static struct path_route new_route(const char *text, int way) {
    struct error error;
    return (struct path_route){.path = path_template_parse(text, &error), .method = memory_copy_string(text), .way = way};
}

/* What a look at each of them would find, in the order of path_template_compare(). */
static void every_path_that_fits_is_found_in_order(void) {
    static const char *const templates[] = {"a", "b", "aa", "list", "*", "{x}", "{y=a/*}", "**"};
    static const char *const paths[] = {"a", "b", "aa", "a%61", "list", "c", "", "%zz", "a:b"};
    enum { ROUTES = 300 };
    struct router *router = router_new(1, NULL, NULL);
    struct path_template *all[ROUTES];
    struct buffer text = {0};
    size_t count = 0, found = 0;
    while (count < ROUTES) {
        write_path(&text, templates, 8);
        struct path_route route = new_route((const char *)buffer_bytes(&text), PATH_WEBSOCKET);
        if (route.path && !router_add_path(router, &route)) {
            all[count++] = route.path;
        } else {
            path_template_free(&route.path);
            free(route.method);
        }
    }
    for (int i = 0; i < 4000; i++) {
        struct path_match match;
        size_t fits = 0, place = 0;
        const struct path_route *route, *last = NULL;
        write_path(&text, paths, 9);
        struct text path = {(const char *)buffer_bytes(&text), buffer_length(&text) - 1};
        for (size_t j = 0; j < count; j++) fits += path_template_match(all[j], path, &match);
        found += fits;
        for (; (route = router_next_path(router, PATH_WEBSOCKET, path, &match, &place)); last = route) {
            CHECK(path_template_match(route->path, path, &match));
            CHECK(!last || path_template_compare(last->path, route->path) < 0);
            fits--;
        }
        CHECK_INT(fits, 0);
        place = 0;
        CHECK(!router_next_path(router, PATH_HTTP, path, &match, &place));
    }
    CHECK(found > 4000); /* else it has tried little */
    buffer_free(&text);
    router_free(&router);
}

int main(void) {
    RUN(methods_are_found_by_their_whole_names);
    RUN(adding_a_method_again_replaces_it);
    RUN(the_longest_pattern_counts);
    RUN(the_rest_of_a_service_has_a_pattern_of_its_own);
    RUN(idle_is_told_once_after_retirement);
    RUN(every_path_that_fits_is_found_in_order);
    return 0;
}
