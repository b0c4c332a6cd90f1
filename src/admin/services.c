/* admin/services.c - see services.h */
#include "admin/services.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

extern const unsigned char admin_descriptors[];
extern const size_t admin_descriptors_length;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct schema *schema;

static void forget(void) { schema_unref(&schema); }

static void load(void) {
    struct error error;
    schema = schema_parse(admin_descriptors, admin_descriptors_length, "the built-in services", &error);
    assert(schema);
    atexit(forget);
}

const struct schema *admin_schema(void) {
    pthread_once(&once, load);
    return schema;
}

const struct method *admin_method(const char *service, const char *method) {
    const struct service *found = schema_service(admin_schema(), service, strlen(service));
    assert(found);
    return service_method(found, method, strlen(method));
}
