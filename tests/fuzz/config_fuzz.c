/* Any bytes as a configuration: never a crash or a leak; a refusal says what and where, and the next file
 * reads as if nothing had been. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Relative paths start from etc/, where scripts and types are near. */
static struct config *read_config(const void *text, size_t length, struct error *error) {
    return config_read_text("etc/fuzz.conf", text, length, error);
}

static int ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && !strcmp(text + length - end_length, end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char good[] = "listen \"127.0.0.1:0\" { }";
    struct error error = {""};
    struct config *config = read_config(size ? (const char *)data : "", size, &error);
    if (!config && !strstr(error.text, "error: ")) abort();
    if (ends_with(error.text, "error: this is not understood"))
        abort(); /* libconfuse takes what outline.c does not */
    if (ends_with(error.text, "error: the configuration is not understood")) abort();
    if (config && (!config->listener_count || !config->workers)) abort();
    config_free(&config);

    config = read_config(good, sizeof good - 1, &error);
    if (!config) abort();
    config_free(&config);
    return 0;
}
