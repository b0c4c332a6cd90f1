/* rpc/path_search.c - see path_search.h. Templates that begin with the same segments stand behind each other: first those
 * that go on with a literal, by its bytes, then with "*", then with "**", then those that end there, with their verbs. So
 * each segment of the path leaves a run of the run before. */
#include "rpc/path_search.h"

#include "rpc/path_template.h"
#include "rpc/router.h"

enum { ENDED = PATH_REST + 1 };

struct search {
    const struct path_route *routes;
    size_t depth;           /* segments that the run has in common */
    struct text segment;    /* of the path, at that depth; without a verb */
    struct text rest;       /* what follows it */
    bool has_segment, has_rest;
};

static int kind_at(const struct search *search, size_t place) {
    const struct path_template *path = search->routes[place].path;
    return search->depth < path->segment_count ? (int)path->segments[search->depth].kind : ENDED;
}

/* The first place in the run whose template goes on with such a kind, or a later one. Most runs are of one kind. */
static size_t find_kind(const struct search *search, size_t low, size_t high, int kind) {
    if (low < high && kind_at(search, low) >= kind) return low;
    if (low < high && kind_at(search, high - 1) < kind) return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kind_at(search, middle) < kind) low = middle + 1;
        else high = middle;
    }
    return low;
}

static bool is_before(const struct search *search, size_t place, bool or_same) {
    const struct path_segment *segment = &search->routes[place].path->segments[search->depth];
    int order = path_compare_literal(segment->literal, search->segment);
    return order < 0 || (or_same && !order);
}

/* The first place among those with literals whose literal is not less than the path's segment, or, `is_behind`, is
 * greater. */
static size_t find_literal(const struct search *search, size_t low, size_t high, bool is_behind) {
    if (low < high && is_before(search, high - 1, is_behind)) return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_before(search, middle, is_behind)) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The next segment; of the last one a verb is cut off, which no literal has in it. */
static struct search step_into(const struct search *above) {
    struct search search = {.routes = above->routes, .depth = above->depth + 1, .has_segment = above->has_rest};
    if (!search.has_segment) return search;
    const char *at = above->rest.data, *slash = memchr(at, '/', above->rest.length);
    search.has_rest = slash != NULL;
    search.segment = (struct text){at, slash ? (size_t)(slash - at) : above->rest.length};
    if (slash) search.rest = (struct text){slash + 1, above->rest.length - search.segment.length - 1};
    const char *colon = slash ? NULL : memrchr(at, ':', search.segment.length);
    if (colon) search.segment.length = (size_t)(colon - at);
    return search;
}

/* The first place in [low, high) that may fit, or `high`. */
static size_t search_run(const struct search *search, size_t low, size_t high) {
    if (low >= high) return high;
    size_t one = find_kind(search, low, high, PATH_ONE), all = find_kind(search, one, high, PATH_REST);
    size_t ended = find_kind(search, all, high, ENDED);
    if (search->has_segment) {
        struct search below = step_into(search);
        size_t first = find_literal(search, low, one, false), behind = find_literal(search, first, one, true);
        size_t found = search_run(&below, first, behind);
        if (found < behind) return found;
        found = search_run(&below, one, all);
        if (found < all) return found;
    }
    if (all < ended) return all;
    bool may_end = !search->has_segment || !search->depth; /* "/" has a segment, which is empty, and its template none */
    return may_end ? ended : high;
}

size_t path_search(const struct path_route *routes, size_t count, struct text path, size_t from) {
    struct search above = {.routes = routes, .depth = (size_t)-1, .has_rest = true};
    if (!path.length || *path.data != '/') return count;
    above.rest = (struct text){path.data + 1, path.length - 1};
    struct search search = step_into(&above);
    return search_run(&search, from < count ? from : count, count);
}

size_t path_search_place(const struct path_route *routes, size_t count, const struct path_template *path) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (path_template_compare(routes[middle].path, path) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}
