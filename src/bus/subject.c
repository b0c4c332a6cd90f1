/* bus/subject.c - see subject.h */
#include "bus/subject.h"

#include <stdio.h>
#include <string.h>

static bool is_plain(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool subject_encode(const char *name, size_t length, char word[SUBJECT_WORD]) {
    static const char digits[] = "0123456789abcdef";
    if (length > SUBJECT_LONGEST_NAME) return false;
    if (!length) *word++ = '=';
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];
        if (is_plain(c)) {
            *word++ = (char)c;
            continue;
        }
        *word++ = '=';
        *word++ = digits[c >> 4];
        *word++ = digits[c & 15];
    }
    *word = '\0';
    return true;
}

void subject_write(char subject[SUBJECT_SIZE], const char *prefix, enum subject_kind kind, const char *word) {
    snprintf(subject, SUBJECT_SIZE, "%s.%c.%s", prefix, kind, word);
}

void origin_write(char text[ORIGIN_SIZE], uint64_t origin) {
    snprintf(text, ORIGIN_SIZE, "%016llx", (unsigned long long)origin);
}

bool origin_read(const char *text, uint64_t *origin) {
    *origin = 0;
    if (!text || strspn(text, "0123456789abcdef") != ORIGIN_SIZE - 1 || text[ORIGIN_SIZE - 1]) return false;
    for (; *text; text++) *origin = *origin << 4 | (uint64_t)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
    return true;
}

/* Digits up to `end`. */
static bool read_digits(const char *text, const char *end, uint64_t most, uint64_t *number) {
    *number = 0;
    if (text == end) return false;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9') return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (digit > most || *number > (most - digit) / 10) return false;
        *number = *number * 10 + digit;
    }
    return true;
}

bool number_read(const char *text, uint64_t most, uint64_t *number) {
    return text && read_digits(text, text + strlen(text), most, number);
}

/* Of the words of a subject, those from the `first` on; the one before them is the consumer's name. */
static bool read_words(const char *reply, int first, struct stream_place *place, uint64_t **numbers, int count) {
    int at = 0;
    for (const char *word = reply; word; at++) {
        const char *dot = strchr(word, '.'), *end = dot ? dot : word + strlen(word);
        if (at == first - 1) place->consumer = word, place->consumer_length = (size_t)(end - word);
        if (at >= first && at < first + count && !read_digits(word, end, UINT64_MAX, numbers[at - first])) return false;
        word = dot ? dot + 1 : NULL;
    }
    return at >= first + count;
}

bool stream_place_read(const char *reply, struct stream_place *place) {
    static const char start[] = "$JS.ACK.";
    int words = 1;
    if (!reply || strncmp(reply, start, sizeof start - 1) != 0) return false;
    for (const char *at = reply; *at; at++) words += *at == '.';
    uint64_t delivered, *numbers[] = {&delivered, &place->sequence, &place->number, &place->time, &place->pending};
    if (words != 9 && words < 11) return false;
    return read_words(reply, words == 9 ? 4 : 6, place, numbers, 5) && place->sequence && place->number;
}
