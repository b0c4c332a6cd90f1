/* rpc/pages.c - see pages.h */
#include "rpc/pages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/map.h"
#include "base/memory.h"

struct pages {
    atomic_uint references;
    struct map by_path; /* "/name" → struct page, its bytes behind it */
};

static const char *type_of(const char *name) {
    static const struct { const char *ending, *type; } types[] = {
        {".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},   {".json", "application/json"},
        {".svg", "image/svg+xml"},             {".png", "image/png"},
        {".ico", "image/x-icon"},              {".txt", "text/plain; charset=utf-8"}};
    const char *ending = strrchr(name, '.');
    for (size_t i = 0; ending && i < sizeof types / sizeof *types; i++)
        if (strcmp(ending, types[i].ending) == 0) return types[i].type;
    return "application/octet-stream";
}

static void put(struct pages *pages, const char *name, const struct buffer *bytes) {
    size_t length = buffer_length(bytes);
    struct page *page = memory_new(sizeof *page + length);
    uint8_t *copy = (uint8_t *)(page + 1);
    if (length) memcpy(copy, buffer_bytes(bytes), length);
    *page = (struct page){type_of(name), copy, length, pages};
    char *path = memory_format("/%s", name);
    free(map_put(&pages->by_path, path, strlen(path), page));
    free(path);
}

/* False, with errno, when it cannot be read or would be too much. */
static bool read_bytes(int fd, struct buffer *bytes) {
    ssize_t got;
    while ((got = read(fd, buffer_reserve(bytes, 16384), 16384)) > 0) {
        buffer_commit(bytes, (size_t)got);
        if (buffer_length(bytes) <= PAGE_BYTES_MOST) continue;
        errno = EFBIG;
        return false;
    }
    return got == 0;
}

/* What is no regular file is passed over. */
static bool read_page(struct pages *pages, int folder, const char *name) {
    struct stat status;
    struct buffer bytes = {0};
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool is_fine = fd >= 0 && fstat(fd, &status) == 0;
    if (is_fine && S_ISREG(status.st_mode)) {
        is_fine = read_bytes(fd, &bytes);
        if (is_fine) put(pages, name, &bytes);
    }
    int why = errno;
    if (fd >= 0) close(fd);
    buffer_free(&bytes);
    errno = why;
    return is_fine;
}

static bool read_folder(struct pages *pages, DIR *directory, const char *folder, struct error *error) {
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (*entry->d_name == '.') continue;
        if (pages->by_path.count == PAGES_MOST)
            return error_set(error, "%s has more than %d files", folder, PAGES_MOST);
        if (!read_page(pages, dirfd(directory), entry->d_name))
            return error_set(error, "%s/%s: %s", folder, entry->d_name, strerror(errno));
    }
    return true;
}

struct pages *pages_read(const char *folder, struct error *error) {
    DIR *directory = opendir(folder);
    if (!directory) {
        error_set(error, "%s: %s", folder, strerror(errno));
        return NULL;
    }
    struct pages *pages = memory_new(sizeof *pages);
    pages->references = 1;
    if (!read_folder(pages, directory, folder, error)) pages_unref(&pages);
    closedir(directory);
    return pages;
}

struct pages *pages_ref(struct pages *pages) {
    atomic_fetch_add(&pages->references, 1);
    return pages;
}

void pages_unref(struct pages **handle) {
    struct pages *pages = *handle;
    *handle = NULL;
    if (!pages || atomic_fetch_sub(&pages->references, 1) != 1) return;
    map_free(&pages->by_path, free);
    free(pages);
}

const struct page *pages_find(const struct pages *pages, struct text path) {
    static const struct text index = TEXT("/index.html");
    struct text query, name = text_cut(path, '?', &query);
    if (!pages) return NULL;
    if (text_is(name, "/")) name = index;
    return map_get(&pages->by_path, name.data, name.length);
}
