/* gateway/process_figures.c - see process_figures.h */
#include "gateway/process_figures.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

static void read_memory(struct process_figures *figures) {
    unsigned long long virtual = 0, resident = 0;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return;
    if (fscanf(file, "%llu %llu", &virtual, &resident) != 2) virtual = resident = 0;
    fclose(file);
    figures->virtual = virtual * page;
    figures->resident = resident * page;
}

/* Ticks after the system's boot; behind the name, which may hold anything. */
static uint64_t start_ticks(void) {
    char text[1024];
    unsigned long long ticks = 0;
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file) return 0;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
    return at && sscanf(at, "%llu", &ticks) == 1 ? ticks : 0;
}

/* Once: a wall clock that is set meanwhile would move it. */
static uint64_t started_at(void) {
    static uint64_t at;
    if (at) return at;
    uint64_t age = clock_read(CLOCK_BOOTTIME) - start_ticks() * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
    return at = clock_wall() - age;
}

static uint64_t count_descriptors(void) {
    uint64_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (!directory) return 0;
    for (const struct dirent *entry; (entry = readdir(directory));) count += *entry->d_name != '.';
    closedir(directory);
    return count - 1; /* its own */
}

void process_figures_read(struct process_figures *figures) {
    struct rlimit limit = {0};
    *figures = (struct process_figures){.cpu = clock_read(CLOCK_PROCESS_CPUTIME_ID),
                                        .started_at = started_at(),
                                        .descriptors = count_descriptors()};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) figures->most_descriptors = limit.rlim_cur;
    read_memory(figures);
}
