#include "net/watch.h"

#include <fcntl.h>
#include <unistd.h>

#include "net_kit.h"

static struct loop *loop;
static int told;

static void tell(void *context) {
    told++;
    if (context) watch_start(*(struct watch **)context);
    loop_stop(loop);
}

static void a_pipe_is_told_of_when_it_has_bytes_and_only_once(void) {
    int ends[2];
    loop = loop_new();
    told = 0;
    CHECK(pipe(ends) == 0);
    struct watch *watch = watch_new(loop, ends[0], WATCH_READ, tell, NULL);
    CHECK(write(ends[1], "a", 1) == 1);
    loop_turn(loop);
    CHECK_INT(told, 0); /* not asked for */
    watch_start(watch);
    kit_run(loop);
    CHECK_INT(told, 1);
    loop_turn(loop);
    CHECK_INT(told, 1);
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1);
    watch_start(watch);
    loop_turn(loop);
    CHECK_INT(told, 1);
    close(ends[1]); /* an end is something to read too */
    kit_run(loop);
    CHECK_INT(told, 2);
    watch_free(&watch);
    close(ends[0]);
    loop_free(&loop);
}

static void a_full_pipe_is_told_of_when_it_has_room(void) {
    int ends[2];
    char bytes[4096] = {0};
    loop = loop_new();
    told = 0;
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    while (write(ends[1], bytes, sizeof bytes) > 0) continue;
    struct watch *watch = watch_new(loop, ends[1], WATCH_WRITE, tell, NULL);
    watch_start(watch);
    loop_turn(loop);
    CHECK_INT(told, 0);
    CHECK(read(ends[0], bytes, sizeof bytes) == sizeof bytes);
    kit_run(loop);
    CHECK_INT(told, 1);
    watch_free(&watch);
    close(ends[0]);
    close(ends[1]);
    loop_free(&loop);
}

static void what_cannot_be_polled_is_always_ready(void) {
    FILE *file = tmpfile();
    int null = open("/dev/null", O_RDWR);
    int fds[] = {fileno(file), null};
    for (int i = 0; i < 2; i++) {
        loop = loop_new();
        told = 0;
        struct watch *watch = watch_new(loop, fds[i], i ? WATCH_WRITE : WATCH_READ, tell, &watch);
        watch_start(watch);
        kit_run(loop);
        CHECK_INT(told, 1); /* starting it again in on_ready does not keep the turn */
        kit_run(loop);
        CHECK_INT(told, 2);
        watch_stop(watch);
        loop_turn(loop);
        CHECK_INT(told, 2);
        watch_free(&watch);
        loop_free(&loop);
    }
    close(null);
    fclose(file);
}

int main(void) {
    RUN(a_pipe_is_told_of_when_it_has_bytes_and_only_once);
    RUN(a_full_pipe_is_told_of_when_it_has_room);
    RUN(what_cannot_be_polled_is_always_ready);
    return 0;
}
