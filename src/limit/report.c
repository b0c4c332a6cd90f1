/* limit/report.c - see report.h */
#include "limit/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static struct log_field number(const char *name, char text[24], uint64_t value) {
    return (struct log_field){name, text, (size_t)snprintf(text, 24, "%" PRIu64, value), true};
}

static void tell_figures(const struct limit_table *table) {
    const struct limit_figures figures = limit_table_figures(table);
    char delayed[24], refused[24], ended[24], crowded[24];
    const char *name = limit_table_name(table);
    const struct log_field fields[] = {
        {"limit", name, strlen(name), false},           number("delayed", delayed, figures.delayed),
        number("refused", refused, figures.refused),    number("ended", ended, figures.ended),
        number("crowded", crowded, figures.crowded),
    };
    if (!figures.delayed && !figures.refused && !figures.ended && !figures.crowded) return;
    log_write_fields(LOG_INFO, NULL, "what a limit has done", 21, fields, sizeof fields / sizeof *fields);
}

void limit_report_figures(const struct limit_book *book) {
    for (size_t i = 0; i < limit_book_count(book); i++) tell_figures(limit_book_at(book, i)->table);
}

static bool is_in(const struct config_limit *limit, const struct config_limit *const *named) {
    for (; named && *named; named++)
        if (*named == limit) return true;
    return false;
}

static bool is_used(const struct config_limit *limit, const struct config *config) {
    bool is = false;
    for (size_t i = 0; i < config->listener_count; i++) is |= is_in(limit, config->listeners[i].named);
    for (size_t i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];
        is |= is_in(limit, service->limits.named);
        for (size_t k = 0; k < service->method_count; k++) is |= is_in(limit, service->methods[k].limits.named);
    }
    return is;
}

void limit_report_unused(const struct limit_book *book, const struct config *config) {
    for (size_t i = 0; i < limit_book_count(book); i++) {
        const struct config_limit *limit = limit_book_at(book, i)->config;
        if (is_used(limit, config)) continue;
        log_warn(NULL, "%s:%d: `limit \"%s\"` limits nothing: no `service`, `method`, `listen` or `limits` names it",
                 limit->file, limit->line, limit->name);
    }
}
