/* net/process.c - what a process needs before it serves; see listener.h */
#include <event2/event.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "net/listener.h"

void net_prepare_process(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
}

const char *net_versions(void) {
    static char text[80]; /* --version alone asks, in the main thread */
    snprintf(text, sizeof text, "libevent %s, OpenSSL %s", event_get_version(),
             OpenSSL_version(OPENSSL_VERSION_STRING));
    return text;
}
