/* base/error.c - see error.h */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

bool error_set(struct error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

bool error_at(struct error *error, const char *file, int line, const char *format, ...) {
    int used = line ? snprintf(error->text, sizeof error->text, "%s:%d: error: ", file, line)
                    : snprintf(error->text, sizeof error->text, "%s: error: ", file);
    if (used < 0 || (size_t)used >= sizeof error->text) return false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text + used, sizeof error->text - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

/* Other threads may run already: no exit handlers. */
void error_exit(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("error: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(1);
}

enum { LONGEST_WORD = 64 };

static int least(int a, int b) { return a < b ? a : b; }

/* Edits (insert, delete, replace, swap of neighbours) that lead from one word to the other. */
static int distance(const char *a, const char *b) {
    int n = (int)strlen(a), m = (int)strlen(b);
    if (n > LONGEST_WORD || m > LONGEST_WORD) return LONGEST_WORD;
    int row[LONGEST_WORD + 1][LONGEST_WORD + 1];
    for (int i = 0; i <= n; i++) row[i][0] = i;
    for (int j = 0; j <= m; j++) row[0][j] = j;
    for (int i = 1; i <= n; i++) {
        for (int j = 1; j <= m; j++) {
            int cost = a[i - 1] != b[j - 1];
            row[i][j] = least(least(row[i - 1][j], row[i][j - 1]) + 1, row[i - 1][j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[i][j] = least(row[i][j], row[i - 2][j - 2] + 1);
        }
    }
    return row[n][m];
}

const char *error_nearest(const char *word, const char *const *words) {
    const char *nearest = NULL;
    int most = (int)strlen(word) / 3 + 1, best = most + 1;
    for (; *words; words++) {
        int edits = strcasecmp(word, *words) == 0 ? 0 : distance(word, *words);
        if (edits < best) best = edits, nearest = *words;
    }
    return nearest;
}
