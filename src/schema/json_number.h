/* schema/json_number.h - numbers between text and bits, exactly. */
#ifndef TIDEWIRE_SCHEMA_JSON_NUMBER_H
#define TIDEWIRE_SCHEMA_JSON_NUMBER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum json_number { JSON_NUMBER_OK, JSON_NUMBER_FRACTION, JSON_NUMBER_RANGE };

/* The text is a JSON number. 1.0, 1e2 and 1500e-2 are whole. The value in 64 bits, signed or not. */
enum json_number json_to_signed(const char *text, size_t length, int64_t least, int64_t most, int64_t *value);
enum json_number json_to_unsigned(const char *text, size_t length, uint64_t most, uint64_t *value);
/* The nearest double or float; what rounds to infinity is out of range. */
enum json_number json_to_double(const char *text, size_t length, double *value);
enum json_number json_to_float(const char *text, size_t length, float *value);

/* Appends a short text that reads back as the same number; "NaN", "Infinity" and "-Infinity" in quotes. */
void json_write_double(struct buffer *out, double value);
void json_write_float(struct buffer *out, float value);
#endif
