/* schema/json_number.c - see json_number.h */
#include "schema/json_number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* The parts of a number: its digits without the point, and how many of them stand before it once the exponent
 * has moved it. */
struct decimal {
    const char *digits, *end; /* a point may stand between the digits */
    int64_t whole;
    bool is_negative;
};

static struct decimal split(const char *text, size_t length) {
    enum { FAR = 100 * 1000 * 1000 }; /* moves any point out of any text */
    struct decimal number = {.digits = text, .end = text + length};
    if (*text == '-') number.is_negative = true, number.digits++;
    const char *at = number.digits;
    while (at < number.end && *at >= '0' && *at <= '9') at++;
    number.whole = at - number.digits;
    while (at < number.end && *at != 'e' && *at != 'E') at++;
    if (at == number.end) return number;
    const char *end = number.end;
    number.end = at++;
    bool is_down = *at == '-';
    int64_t exponent = 0;
    if (*at == '-' || *at == '+') at++;
    for (; at < end; at++) exponent = exponent < FAR ? exponent * 10 + (*at - '0') : exponent;
    number.whole += is_down ? -exponent : exponent;
    return number;
}

static bool append_digit(uint64_t *value, unsigned digit) {
    return !__builtin_mul_overflow(*value, 10, value) && !__builtin_add_overflow(*value, digit, value);
}

static enum json_number to_magnitude(const struct decimal *number, uint64_t *value) {
    *value = 0;
    int64_t place = 0;
    for (const char *at = number->digits; at < number->end; at++) {
        if (*at == '.') continue;
        if (place++ >= number->whole) {
            if (*at != '0') return JSON_NUMBER_FRACTION;
        } else if (!append_digit(value, (unsigned)(*at - '0'))) {
            return JSON_NUMBER_RANGE;
        }
    }
    for (; *value && place < number->whole; place++)
        if (!append_digit(value, 0)) return JSON_NUMBER_RANGE;
    return JSON_NUMBER_OK;
}

enum json_number json_to_signed(const char *text, size_t length, int64_t least, int64_t most,
                                int64_t *value) {
    struct decimal number = split(text, length);
    uint64_t magnitude;
    enum json_number result = to_magnitude(&number, &magnitude);
    if (result != JSON_NUMBER_OK) return result;
    if (magnitude > (uint64_t)INT64_MAX + number.is_negative) return JSON_NUMBER_RANGE;
    *value = (int64_t)(number.is_negative ? 0 - magnitude : magnitude);
    return *value < least || *value > most ? JSON_NUMBER_RANGE : JSON_NUMBER_OK;
}

enum json_number json_to_unsigned(const char *text, size_t length, uint64_t most, uint64_t *value) {
    struct decimal number = split(text, length);
    enum json_number result = to_magnitude(&number, value);
    if (result != JSON_NUMBER_OK) return result;
    return *value > most || (number.is_negative && *value) ? JSON_NUMBER_RANGE : JSON_NUMBER_OK;
}

/* The C library wants a NUL behind the text. */
struct terminated {
    char room[64], *text;
};
static void terminate(struct terminated *copy, const char *text, size_t length) {
    copy->text = copy->room;
    if (length >= sizeof copy->room)
        copy->text = memory_copy(text, length);
    else
        memcpy(copy->room, text, length), copy->room[length] = '\0';
}
static void end_terminated(struct terminated *copy) {
    if (copy->text != copy->room) free(copy->text);
}

enum json_number json_to_double(const char *text, size_t length, double *value) {
    struct terminated copy;
    terminate(&copy, text, length);
    *value = strtod(copy.text, NULL);
    end_terminated(&copy);
    return isinf(*value) ? JSON_NUMBER_RANGE : JSON_NUMBER_OK;
}

enum json_number json_to_float(const char *text, size_t length, float *value) {
    struct terminated copy;
    terminate(&copy, text, length);
    *value = strtof(copy.text, NULL);
    end_terminated(&copy);
    return isinf(*value) ? JSON_NUMBER_RANGE : JSON_NUMBER_OK;
}

/* Readers that take "-0" for an integer would lose the sign. */
static bool write_special(struct buffer *out, double value) {
    bool is_negative_zero = value == 0 && signbit(value);
    if (isfinite(value) && !is_negative_zero) return false;
    buffer_append_text(out, is_negative_zero ? "-0.0"
                            : isnan(value)   ? "\"NaN\""
                            : value < 0      ? "\"-Infinity\""
                                             : "\"Infinity\"");
    return true;
}

void json_write_double(struct buffer *out, double value) {
    enum { SURE_DIGITS = 15, ENOUGH_DIGITS = 17 };
    char text[32];
    if (write_special(out, value)) return;
    for (int digits = SURE_DIGITS; digits <= ENOUGH_DIGITS; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    buffer_append_text(out, text);
}

void json_write_float(struct buffer *out, float value) {
    enum { SURE_DIGITS = 6, ENOUGH_DIGITS = 9 };
    char text[32];
    if (write_special(out, (double)value)) return;
    for (int digits = SURE_DIGITS; digits <= ENOUGH_DIGITS; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
    }
    buffer_append_text(out, text);
}
