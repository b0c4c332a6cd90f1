/* admin/services.h - the types of the gateway's own services, which are compiled into it. Private to admin/. */
#ifndef TIDEWIRE_ADMIN_SERVICES_H
#define TIDEWIRE_ADMIN_SERVICES_H
#include "schema/schema.h"

/* Read once, at the first use, by any thread; lives as long as the process. */
const struct schema *admin_schema(void);
const struct method *admin_method(const char *service, const char *method);
#endif
