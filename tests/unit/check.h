/* check.h - the whole unit test kit: a test is a void function, a check names what failed and where. */
#ifndef TIDEWIRE_TESTS_CHECK_H
#define TIDEWIRE_TESTS_CHECK_H
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define CHECK(condition) do { if (!(condition)) check_failed(__FILE__, __LINE__, #condition); } while (0)
#define CHECK_INT(actual, expected) do { long long a_ = (long long)(actual), e_ = (long long)(expected); \
    if (a_ != e_) { fprintf(stderr, "%lld is not %lld\n", a_, e_); check_failed(__FILE__, __LINE__, #actual); } } while (0)
#define CHECK_STR(actual, expected) do { const char *a_ = (actual), *e_ = (expected); \
    if (!a_ || strcmp(a_, e_)) { fprintf(stderr, "\"%s\" is not \"%s\"\n", a_ ? a_ : "(null)", e_); check_failed(__FILE__, __LINE__, #actual); } } while (0)
#define CHECK_MEM(actual, length, expected, expected_length) do { \
    if ((size_t)(length) != (size_t)(expected_length) || \
            ((expected_length) && memcmp((actual), (expected), (expected_length)))) \
        check_failed(__FILE__, __LINE__, #actual " (bytes differ)"); } while (0)
#define RUN(test) do { fprintf(stderr, "- %s\n", #test); test(); } while (0)
/* clang-format on */

static inline void check_failed(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    exit(1);
}
#endif
