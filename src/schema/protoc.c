/* schema/protoc.c - see protoc.h. What protoc writes goes to memory files, so that nothing has to be read
 * while it runs, no pipe can fill up, and no temporary file is left behind. */
#include "schema/protoc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"

extern char **environ;

enum { CHILD_SET = 3 }; /* where the child finds the memory file for the set */

bool protoc_read_all(int descriptor, struct buffer *out) {
    for (;;) {
        ssize_t length = read(descriptor, buffer_reserve(out, 64 * 1024), 64 * 1024);
        if (length > 0)
            buffer_commit(out, (size_t)length);
        else if (!length)
            return true;
        else if (errno != EINTR)
            return false;
    }
}

/* Above the numbers that the child uses, so that moving one there overwrites no other. */
static int open_memory_file(const char *name) {
    int low = memfd_create(name, MFD_CLOEXEC);
    if (low < 0) return low;
    int high = fcntl(low, F_DUPFD_CLOEXEC, CHILD_SET + 1);
    close(low);
    return high;
}

/* The arguments, each with its own memory; ended by NULL. */
struct arguments {
    char **list;
    size_t count;
};

static void add_argument(struct arguments *arguments, char *argument) {
    arguments->list = memory_resize(arguments->list, (arguments->count + 2) * sizeof *arguments->list);
    arguments->list[arguments->count++] = argument;
    arguments->list[arguments->count] = NULL;
}

static void free_arguments(struct arguments *arguments) {
    for (size_t i = 0; i < arguments->count; i++) free(arguments->list[i]);
    free(arguments->list);
}

/* protoc takes '-' for an option and '@' for a file of arguments. */
static bool is_plain(const char *name) { return *name != '-' && *name != '@'; }
static char *plain_name(const char *name) { return memory_format("%s%s", is_plain(name) ? "" : "./", name); }

/* A name below one of the paths is understood by protoc, but "./name" is not: such a name is spelled out. */
static char *input_name(char *const *paths, const char *file) {
    if (is_plain(file)) return memory_copy_string(file);
    for (; *paths; paths++) {
        char *joined = memory_format("%s/%s", *paths, file);
        if (!access(joined, R_OK)) {
            char *plain = plain_name(joined);
            free(joined);
            return plain;
        }
        free(joined);
    }
    return plain_name(file);
}

/* protoc reads ':' in a path as the start of another, and '=' as a mapping. */
static bool add_path(struct arguments *arguments, const char *path, struct error *error) {
    if (strpbrk(path, ":=")) return error_at(error, path, 0, "protoc takes no path with ':' or '=' in it");
    add_argument(arguments, memory_format("-I%s", *path ? path : "."));
    return true;
}

static bool add_folder(struct arguments *arguments, const char *file, struct error *error) {
    const char *slash = strrchr(file, '/');
    char *folder = slash ? memory_copy(file, (size_t)(slash - file + 1)) : memory_copy_string(".");
    bool is_added = add_path(arguments, folder, error);
    free(folder);
    return is_added;
}

static bool add_arguments(struct arguments *arguments, char *const *paths, char *const *files,
                          struct error *error) {
    add_argument(arguments, memory_copy_string("protoc"));
    add_argument(arguments, memory_copy_string("--include_imports"));
    add_argument(arguments, memory_copy_string("--include_source_info"));
    add_argument(arguments, memory_format("--descriptor_set_out=/dev/fd/%d", CHILD_SET));
    for (char *const *path = paths; *path; path++)
        if (!add_path(arguments, *path, error)) return false;
    for (char *const *file = files; *file && !*paths; file++)
        if (!add_folder(arguments, *file, error)) return false;
    for (; *files; files++) add_argument(arguments, input_name(paths, *files));
    return true;
}

/* Nothing of this process but the two memory files reaches the child: no blocked signal, no terminal. */
static int spawn(char *const *arguments, int set, int messages, pid_t *child) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, pipe;
    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, messages, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, messages, STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, set, CHILD_SET);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipe);
    int fault = posix_spawnp(child, "protoc", &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return fault;
}

static bool wait_for(pid_t child, struct error *error, int *status) {
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR) return error_set(error, "cannot wait for protoc: %s", strerror(errno));
    return true;
}

/* protoc's own lines, without the last line break. */
static bool fail_as_protoc_says(int messages, int status, struct error *error) {
    struct buffer text = {0};
    lseek(messages, 0, SEEK_SET);
    protoc_read_all(messages, &text);
    size_t length = buffer_length(&text);
    while (length && buffer_bytes(&text)[length - 1] == '\n') length--;
    if (length)
        error_set(error, "%.*s", (int)length, (const char *)buffer_bytes(&text));
    else if (WIFSIGNALED(status))
        error_set(error, "protoc was ended by signal %d", WTERMSIG(status));
    else
        error_set(error, "protoc failed with exit code %d and no word", WEXITSTATUS(status));
    buffer_free(&text);
    return false;
}

static bool run(char *const *arguments, int set, int messages, struct buffer *out, struct error *error) {
    pid_t child;
    int status;
    int fault = spawn(arguments, set, messages, &child);
    if (fault == ENOENT)
        return error_set(
            error, "protoc is not installed: it reads .proto files (Debian's package protobuf-compiler)");
    if (fault) return error_set(error, "cannot run protoc: %s", strerror(fault));
    if (!wait_for(child, error, &status)) return false;
    if (!WIFEXITED(status) || WEXITSTATUS(status)) return fail_as_protoc_says(messages, status, error);
    lseek(set, 0, SEEK_SET);
    return protoc_read_all(set, out) ||
           error_set(error, "cannot read what protoc wrote: %s", strerror(errno));
}

bool protoc_run(char *const *paths, char *const *files, struct buffer *set, struct error *error) {
    struct arguments arguments = {0};
    int set_file = open_memory_file("protoc set"), messages = open_memory_file("protoc messages");
    bool is_good = set_file >= 0 && messages >= 0;
    if (!is_good) error_set(error, "cannot run protoc: %s", strerror(errno));
    is_good = is_good && add_arguments(&arguments, paths, files, error) &&
              run(arguments.list, set_file, messages, set, error);
    free_arguments(&arguments);
    if (set_file >= 0) close(set_file);
    if (messages >= 0) close(messages);
    return is_good;
}
