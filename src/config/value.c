/* config/value.c - see value.h */
#include "config/value.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* From the smallest; the binary ones last, so that value_format() prefers them. */
static const struct unit size_units[] = {{"B", 1},
                                         {"KB", 1000},
                                         {"MB", 1000000},
                                         {"GB", 1000000000},
                                         {"KiB", UINT64_C(1) << 10},
                                         {"MiB", UINT64_C(1) << 20},
                                         {"GiB", UINT64_C(1) << 30},
                                         {NULL, 0}};
static const struct unit duration_units[] = {{"ms", 1000000},
                                             {"s", UINT64_C(1000000000)},
                                             {"m", UINT64_C(60000000000)},
                                             {"h", UINT64_C(3600000000000)},
                                             {"d", UINT64_C(86400000000000)},
                                             {NULL, 0}};

static const struct unit *units_of(const struct key *key) {
    return key->type == VALUE_SIZE ? size_units : key->type == VALUE_DURATION ? duration_units : NULL;
}

static void format_rate(uint64_t number, char text[32]) {
    int length = snprintf(text, 32, "%" PRIu64 ".%06" PRIu64, number / RATE_ONE, number % RATE_ONE);
    while (text[length - 1] == '0') text[--length] = '\0';
    if (text[length - 1] == '.') text[length - 1] = '\0';
}

void value_format(const struct key *key, uint64_t number, char text[32]) {
    const struct unit *units = units_of(key), *best = NULL;
    for (const struct unit *unit = units; number && unit && unit->name; unit++)
        if (number % unit->factor == 0 && (!best || unit->factor > best->factor)) best = unit;
    if (best)
        snprintf(text, 32, "%" PRIu64 "%s", number / best->factor, best->name);
    else if (key->type == VALUE_RATE)
        format_rate(number, text);
    else if (key->type == VALUE_MODE)
        snprintf(text, 32, "%04" PRIo64, number);
    else
        snprintf(text, 32, "%" PRIu64, number);
}

static void list_words(const char *const *words, char *text, size_t size) {
    size_t used = 0;
    *text = '\0';
    for (; *words && used < size; words++)
        used += (size_t)snprintf(text + used, size - used, "%s`%s`", used ? ", " : "", *words);
}

/* Digits of the base; how many, or 0 when there are none or the number is too large for 64 bits. */
static size_t read_digits(const char *text, unsigned base, uint64_t *number) {
    size_t count = 0;
    for (*number = 0; text[count] >= '0' && text[count] < (char)('0' + base); count++) {
        uint64_t digit = (uint64_t)(text[count] - '0');
        if (*number > (UINT64_MAX - digit) / base) return 0;
        *number = *number * base + digit;
    }
    return count;
}

static bool check_range(const struct key *key, const char *text, uint64_t number, struct error *error) {
    if (!key->most || (number >= key->least && number <= key->most)) return true;
    char least[32], most[32];
    value_format(key, key->least, least);
    value_format(key, key->most, most);
    return error_set(error, "`%s` = %s is outside of its range, %s to %s", key->name, text, least, most);
}

static bool misses_unit(const struct key *key, const char *text, struct error *error) {
    const char *what = key->type == VALUE_SIZE ? "a size" : "a duration";
    const char *examples = key->type == VALUE_SIZE ? "KiB or MiB" : "ms, s or m";
    return error_set(error, "`%s` is %s and needs a unit, such as %s: \"%s\" has none", key->name, what,
                     examples, text);
}

static bool unknown_unit(const struct key *key, const char *name, struct error *error) {
    const char *names[8];
    char list[128];
    size_t count = 0;
    for (const struct unit *unit = units_of(key); unit->name; unit++) names[count++] = unit->name;
    names[count] = NULL;
    list_words(names, list, sizeof list);
    const char *nearest =
        strlen(name) > 1 ? error_nearest(name, names) : NULL; /* "k" is near to everything */
    return nearest ? error_set(error, "`%s`: \"%s\" is not a unit (did you mean \"%s\"?)", key->name, name,
                               nearest)
                   : error_set(error, "`%s`: \"%s\" is not a unit; there are %s", key->name, name, list);
}

static bool parse_amount(const struct key *key, const char *text, uint64_t *number, struct error *error) {
    size_t digits = read_digits(text, 10, number);
    const char *name = text + digits;
    if (!digits)
        return error_set(error, "`%s` is %s: \"%s\" is not", key->name,
                         key->type == VALUE_SIZE ? "a size such as 4MiB" : "a duration such as 30s", text);
    if (!*name) return *number == 0 ? check_range(key, text, 0, error) : misses_unit(key, text, error);
    for (const struct unit *unit = units_of(key); unit->name; unit++) {
        if (strcmp(unit->name, name)) continue;
        if (*number > UINT64_MAX / unit->factor) return check_range(key, text, UINT64_MAX, error);
        *number *= unit->factor;
        return check_range(key, text, *number, error);
    }
    return unknown_unit(key, name, error);
}

static bool parse_count(const struct key *key, const char *text, uint64_t *number, struct error *error) {
    *number = 0;
    if (key->words && !strcmp(text, key->words[0])) return true;
    size_t digits = read_digits(text, 10, number);
    if (digits && !text[digits]) return check_range(key, text, *number, error);
    return error_set(error, "`%s` is a number%s%s: \"%s\" is not", key->name, key->words ? " or " : "",
                     key->words ? key->words[0] : "", text);
}

/* Up to six digits behind the point: millionths. */
static bool parse_rate(const struct key *key, const char *text, uint64_t *number, struct error *error) {
    uint64_t whole = 0, fraction = 0;
    size_t digits = read_digits(text, 10, &whole), places = 0;
    const char *rest = text + digits;
    if (digits && *rest == '.') {
        places = read_digits(++rest, 10, &fraction);
        rest += places;
        if (!places || places > 6) digits = 0;
    }
    if (!digits || *rest) return error_set(error, "`%s` is a number such as 100 or 0.5: \"%s\" is not", key->name, text);
    for (; places < 6; places++) fraction *= 10;
    *number = whole > UINT64_MAX / RATE_ONE - 1 ? UINT64_MAX : whole * RATE_ONE + fraction;
    return check_range(key, text, *number, error);
}

static bool parse_mode(const struct key *key, const char *text, uint64_t *number, struct error *error) {
    size_t digits = read_digits(text, 8, number);
    if (!digits || text[digits])
        return error_set(error, "`%s` is octal, such as 0660: \"%s\" is not", key->name, text);
    return check_range(key, text, *number, error);
}

static bool parse_boolean(const struct key *key, const char *text, uint64_t *number, struct error *error) {
    static const char *const words[] = {"off", "on", "no", "yes", "false", "true", NULL};
    for (size_t i = 0; words[i]; i++)
        if (!strcmp(text, words[i])) return *number = i % 2, true;
    return error_set(error, "`%s` is on or off: \"%s\" is neither", key->name, text);
}

static bool parse_word(const struct key *key, const char *text, uint64_t *number, struct error *error) {
    for (*number = 0; key->words[*number]; ++*number)
        if (!strcmp(text, key->words[*number])) return true;
    const char *nearest = error_nearest(text, key->words);
    char list[256];
    list_words(key->words, list, sizeof list);
    return nearest
               ? error_set(error, "`%s` = \"%s\" is unknown (did you mean \"%s\"?)", key->name, text, nearest)
               : error_set(error, "`%s` = \"%s\" is unknown; there are %s", key->name, text, list);
}

static bool parse_text(const struct key *key, const char *text, uint64_t *number, struct error *error) {
    *number = 0;
    return *text || error_set(error, "`%s` is empty", key->name);
}

bool value_parse(const struct key *key, const char *text, uint64_t *number, struct error *error) {
    switch (key->type) {
    case VALUE_SIZE:
    case VALUE_DURATION:
        return parse_amount(key, text, number, error);
    case VALUE_COUNT:
        return parse_count(key, text, number, error);
    case VALUE_RATE:
        return parse_rate(key, text, number, error);
    case VALUE_MODE:
        return parse_mode(key, text, number, error);
    case VALUE_BOOLEAN:
        return parse_boolean(key, text, number, error);
    case VALUE_WORD:
        return parse_word(key, text, number, error);
    case VALUE_TEXT:
    case VALUE_PATH:
        return parse_text(key, text, number, error);
    }
    return false;
}

void value_describe(const struct key *key, char *text, size_t size) {
    static const char *const names[] = {"text",  "path",          "size", "duration", "number", "number",
                                        "octal", "`on` or `off`", ""};
    char range[80] = "", least[32], most[32];
    if (key->type == VALUE_WORD) {
        list_words(key->words, text, size);
        return;
    }
    if (key->most) {
        value_format(key, key->least, least);
        value_format(key, key->most, most);
        snprintf(range, sizeof range, ", %s to %s", least, most);
    }
    snprintf(text, size, "%s%s%s%s%s%s", key->is_list ? "list of " : "", names[key->type],
             key->is_list ? "s" : "", key->words ? " or " : "", key->words ? key->words[0] : "", range);
}
