/* limit/report.h - what the log says about limits as a whole. */
#ifndef TIDEWIRE_LIMIT_REPORT_H
#define TIDEWIRE_LIMIT_REPORT_H
#include "limit/book.h"

/* A line for each that did something. */
void limit_report_figures(const struct limit_book *book);
/* A line for each that nothing names. */
void limit_report_unused(const struct limit_book *book, const struct config *config);
#endif
