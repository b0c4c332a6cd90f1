/* subject.h - our half of the differential test, as plain functions that C++ can call. */
#ifndef TIDEWIRE_TESTS_SUBJECT_H
#define TIDEWIRE_TESTS_SUBJECT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

struct subject;
/* From the bytes of a FileDescriptorSet; ends the process when they are none. */
struct subject *subject_new(const uint8_t *set, size_t length);
void subject_free(struct subject *subject);

/* NULL, or what is wrong with the bytes. */
const char *subject_check(struct subject *subject, const char *type, const uint8_t *bytes, size_t length);
/* Each takes good bytes, gives new ones (valid until the next call) and NULL, or says why it could not. */
struct subject_bytes {
    const uint8_t *data;
    size_t length;
};
/* Reads all into a plain table and writes that. */
const char *subject_rebuild(struct subject *subject, const char *type, const uint8_t *bytes, size_t length,
                            struct subject_bytes *out);
/* Reads every field at every depth through the message object, and forwards it. */
const char *subject_forward(struct subject *subject, const char *type, const uint8_t *bytes, size_t length,
                            struct subject_bytes *out);
/* Clears one field of the message object and forwards it. */
const char *subject_clear(struct subject *subject, const char *type, const char *field, const uint8_t *bytes,
                          size_t length, struct subject_bytes *out);
/* Writes every list and map anew, with what it had in it. */
const char *subject_rewrite(struct subject *subject, const char *type, const uint8_t *bytes, size_t length,
                            struct subject_bytes *out);
#ifdef __cplusplus
}
#endif
#endif
