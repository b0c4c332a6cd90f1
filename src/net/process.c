/* net/process.c - what a process needs before it serves; see listener.h */
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "net/listener.h"
#include "net/resolver.h"

/* libevent would write to standard error by itself. */
static void log_libevent(int severity, const char *text) {
    if (severity >= EVENT_LOG_ERR) log_error(NULL, "libevent: %s", text);
    else if (severity == EVENT_LOG_WARN) log_warn(NULL, "libevent: %s", text);
}

/* Where one of the three standard descriptors is closed, the next socket would be taken for it. */
static void fill_standard_descriptors(void) {
    int fd;
    do fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

void net_prepare_process(void) {
    fill_standard_descriptors();
    event_set_log_callback(log_libevent);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
}

const char *net_versions(void) {
    static char text[112]; /* --version alone asks, in the main thread */
    snprintf(text, sizeof text, "libevent %s, OpenSSL %s, %s", event_get_version(),
             OpenSSL_version(OPENSSL_VERSION_STRING), resolver_versions());
    return text;
}
