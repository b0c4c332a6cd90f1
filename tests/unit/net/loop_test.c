#include "net/loop.h"

#include <signal.h>
#include <unistd.h>

#include "net_kit.h"

static struct loop *loop;
static char trace[64];

static void note(char letter) {
    size_t length = strlen(trace);
    if (length < sizeof trace - 1) trace[length] = letter, trace[length + 1] = '\0';
}

static void begin(void) {
    loop = loop_new();
    trace[0] = '\0';
}

static void stop(struct task *task) {
    (void)task;
    loop_stop(loop);
}

/* Tasks */

static struct task run_task, flush_task, free_task, second_run_task;

static void note_flush(struct task *task) {
    (void)task;
    note('f');
    if (strlen(trace) < 4) loop_defer(loop, LOOP_RUN, &second_run_task);
}
static void note_free(struct task *task) {
    (void)task;
    note('x');
    loop_stop(loop);
}
static void note_second_run(struct task *task) {
    (void)task;
    note('s');
    loop_defer(loop, LOOP_FLUSH, &flush_task);
}
static void note_run(struct task *task) {
    (void)task;
    note('r');
    loop_defer(loop, LOOP_FREE, &free_task);
    loop_defer(loop, LOOP_FLUSH, &flush_task);
    loop_defer(loop, LOOP_FLUSH, &flush_task);
    loop_defer(loop, LOOP_RUN, &second_run_task);
}

static void tasks_run_once_in_the_order_of_phases_all_in_one_turn(void) {
    begin();
    task_init(&run_task, note_run);
    task_init(&second_run_task, note_second_run);
    task_init(&flush_task, note_flush);
    task_init(&free_task, note_free);
    loop_defer(loop, LOOP_RUN, &run_task);
    kit_run(loop); /* one turn, as the free task stops it */
    CHECK_STR(trace, "rsfsfx");
    loop_free(&loop);
}

static int turns_of_again;
static uint64_t clock_of_again;

static void run_again(struct task *task) {
    CHECK(loop_now(loop) != clock_of_again); /* another turn has another time */
    clock_of_again = loop_now(loop);
    if (++turns_of_again < 3) loop_defer(loop, LOOP_RUN, task);
    else loop_stop(loop);
}

static void a_task_that_defers_itself_runs_in_the_next_turn_without_a_wait(void) {
    begin();
    struct task task;
    turns_of_again = 0;
    task_init(&task, run_again);
    loop_defer(loop, LOOP_RUN, &task);
    kit_run(loop);
    CHECK_INT(turns_of_again, 3);
    loop_free(&loop);
}

static struct task slow_tasks[3];

static void flush_now(struct task *task) {
    (void)task;
    note('f');
}

static void take_long(struct task *task) {
    note((char)('a' + (task - slow_tasks)));
    uint64_t till = clock_monotonic() + 3 * NS_PER_MS;
    while (clock_monotonic() < till) continue;
    if (task == slow_tasks) loop_defer(loop, LOOP_AGAIN, task);
}

static void what_is_done_again_is_as_much_as_fits_into_a_turn_and_keeps_its_order(void) {
    begin();
    struct task flush;
    task_init(&flush, flush_now);
    for (int i = 0; i < 3; i++) {
        task_init(&slow_tasks[i], take_long);
        loop_defer(loop, LOOP_AGAIN, &slow_tasks[i]);
    }
    loop_defer(loop, LOOP_FLUSH, &flush);
    loop_turn(loop);
    CHECK_STR(trace, "fa");
    loop_turn(loop);
    CHECK_STR(trace, "fab");
    task_cancel(&slow_tasks[2]);
    loop_turn(loop);
    CHECK_STR(trace, "faba");
    task_cancel(&slow_tasks[0]);
    loop_turn(loop);
    CHECK_STR(trace, "faba");
    loop_free(&loop);
}

static void move_to_flush(struct task *task) {
    note('m');
    task_init(task, note_free);
    loop_defer(loop, LOOP_FREE, task);
}

static void a_task_may_go_on_in_a_later_phase_of_its_turn(void) {
    begin();
    struct task task, stopper;
    task_init(&task, move_to_flush);
    task_init(&stopper, stop);
    loop_defer(loop, LOOP_RUN, &task);
    loop_defer(loop, LOOP_RUN, &stopper);
    kit_run(loop);
    CHECK_STR(trace, "mx");
    loop_free(&loop);
}

static struct task ping, pong;
static int ping_pongs;
static void play(struct task *task) {
    ping_pongs++;
    loop_defer(loop, LOOP_RUN, task == &ping ? &pong : &ping);
}
static void stop_by_timer(struct timer *timer) {
    (void)timer;
    loop_stop(loop);
}

static void two_tasks_that_defer_each_other_do_not_starve_the_timers(void) {
    begin();
    struct timer timer;
    task_init(&ping, play);
    task_init(&pong, play);
    timer_init(&timer, stop_by_timer);
    loop_defer(loop, LOOP_RUN, &ping);
    timer_start(loop, &timer, clock_monotonic() + 2 * NS_PER_MS);
    kit_run(loop);
    CHECK(ping_pongs > 64);
    task_cancel(&ping);
    task_cancel(&pong);
    loop_free(&loop);
}

static void cancel_second(struct task *task) {
    (void)task;
    note('c');
    task_cancel(&second_run_task);
    task_cancel(&second_run_task);
}

static void a_cancelled_task_of_the_same_batch_does_not_run(void) {
    begin();
    struct task task, stopper;
    task_init(&task, cancel_second);
    task_init(&second_run_task, note_second_run);
    task_init(&stopper, stop);
    loop_defer(loop, LOOP_RUN, &task);
    loop_defer(loop, LOOP_RUN, &second_run_task);
    loop_defer(loop, LOOP_RUN, &stopper);
    kit_run(loop);
    CHECK_STR(trace, "c");
    loop_free(&loop);
}

static void note_last(struct task *task) {
    (void)task;
    note('x');
}

static void free_tasks_that_are_left_run_when_the_loop_goes(void) {
    begin();
    task_init(&free_task, note_last);
    loop_defer(loop, LOOP_FREE, &free_task);
    loop_free(&loop);
    CHECK_STR(trace, "x");
}

/* Timers */

enum { TIMERS = 5000 };
static struct {
    struct timer timer;
    bool is_stopped;
} many[TIMERS];
static uint64_t last_due;
static uint32_t fired;

static void check_order(struct timer *timer) {
    CHECK(timer->due >= last_due);
    CHECK(!timer_is_running(timer));
    CHECK(loop_now(loop) >= timer->due);
    last_due = timer->due;
    fired++;
}

static void thousands_of_timers_fire_in_order_and_stopped_ones_do_not(void) {
    begin();
    struct timer stopper;
    uint64_t now = clock_monotonic();
    uint32_t running = 0, random = 12345;
    last_due = fired = 0;
    for (int i = 0; i < TIMERS; i++) {
        random = random * 1664525 + 1013904223;
        timer_init(&many[i].timer, check_order);
        many[i].is_stopped = false;
        timer_start(loop, &many[i].timer, now + random % (20 * NS_PER_MS));
    }
    for (int i = 0; i < TIMERS; i++) { /* move some, stop some, stop some twice */
        random = random * 1664525 + 1013904223;
        if (i % 3 == 0) timer_start(loop, &many[i].timer, now + random % (20 * NS_PER_MS));
        if (i % 5 != 0) continue;
        timer_stop(loop, &many[i].timer);
        timer_stop(loop, &many[i].timer);
        CHECK(!timer_is_running(&many[i].timer));
        many[i].is_stopped = true;
    }
    for (int i = 0; i < TIMERS; i++) running += timer_is_running(&many[i].timer);
    CHECK_INT(running, TIMERS - TIMERS / 5);
    timer_init(&stopper, stop_by_timer);
    timer_start(loop, &stopper, now + 21 * NS_PER_MS);
    kit_run(loop);
    CHECK_INT(fired, running);
    loop_free(&loop);
}

static struct timer letters[5];
static void note_letter(struct timer *timer) { note((char)('a' + (timer - letters))); }

static void timers_of_one_moment_fire_in_the_order_of_their_start(void) {
    begin();
    struct timer stopper;
    uint64_t due = clock_monotonic() + NS_PER_MS;
    for (int i = 0; i < 5; i++) {
        timer_init(&letters[i], note_letter);
        timer_start(loop, &letters[i], due);
    }
    timer_start(loop, &letters[1], due); /* starting anew goes to the end */
    timer_init(&stopper, stop_by_timer);
    timer_start(loop, &stopper, due);
    kit_run(loop);
    CHECK_STR(trace, "acdeb");
    loop_free(&loop);
}

static struct timer victim;
static void change_others(struct timer *timer) {
    timer_stop(loop, &victim);
    free(timer);
    note('c');
}
static void note_again(struct timer *timer) {
    note('a');
    if (strlen(trace) < 5)
        timer_start(loop, timer, loop_now(loop)); /* due at once: not before the next turn */
    else loop_stop(loop);
}
static void note_victim(struct timer *timer) {
    (void)timer;
    note('v');
}

static void a_timer_may_stop_others_start_itself_and_free_itself(void) {
    begin();
    struct timer again, *own = malloc(sizeof *own);
    uint64_t due = clock_monotonic();
    timer_init(own, change_others);
    timer_init(&again, note_again);
    timer_init(&victim, note_victim);
    timer_start(loop, own, due);
    timer_start(loop, &victim, due + 1);
    timer_start(loop, &again, due + 2);
    kit_run(loop);
    CHECK_STR(trace, "caaaa");
    loop_free(&loop);
}

static int restarts;
static void start_again(struct timer *timer) {
    restarts++;
    timer_start(loop, timer, 0);
}

static void a_timer_that_is_always_due_fires_once_a_turn(void) {
    begin();
    struct timer timer;
    struct task task;
    restarts = turns_of_again = 0;
    timer_init(&timer, start_again);
    task_init(&task, run_again);
    timer_start(loop, &timer, 0);
    loop_defer(loop, LOOP_RUN, &task);
    kit_run(loop);
    CHECK_INT(turns_of_again, 3);
    CHECK(restarts >= 2 &&
          restarts <= 2 * 3); /* twice in a turn at most: as many as run, the kit's own included */
    timer_stop(loop, &timer);
    loop_free(&loop);
}

static void a_sooner_timer_wakes_a_loop_that_waits_for_a_later_one(void) {
    begin();
    struct timer late, soon;
    uint64_t now = clock_monotonic();
    timer_init(&late, note_victim);
    timer_init(&soon, stop_by_timer);
    timer_start(loop, &late, now + 3600 * NS_PER_S);
    timer_start(loop, &soon, now + 5 * NS_PER_MS);
    kit_run(loop);
    CHECK(clock_monotonic() - now >= 5 * NS_PER_MS);
    CHECK(clock_monotonic() - now < 5 * NS_PER_S);
    timer_stop(loop, &late);
    loop_free(&loop);
}

static void a_timer_for_the_end_of_time_is_only_far_away(void) {
    begin();
    struct timer never, soon;
    timer_init(&never, note_victim);
    timer_init(&soon, stop_by_timer);
    timer_start(loop, &never, UINT64_MAX);
    timer_start(loop, &soon, clock_monotonic() + NS_PER_MS);
    kit_run(loop);
    CHECK_STR(trace, "");
    loop_free(&loop);
}

/* Signals */

static void on_signal(void *context, int number) {
    *(int *)context = number;
    loop_stop(loop);
}
static void raise_signal(struct task *task) {
    (void)task;
    kill(getpid(), SIGUSR1);
}

static void a_signal_is_told_in_the_loop(void) {
    begin();
    int number = 0;
    struct task task;
    struct signal_watch *watch = signal_watch_new(loop, SIGUSR1, on_signal, &number);
    task_init(&task, raise_signal);
    loop_defer(loop, LOOP_RUN, &task);
    kit_run(loop);
    CHECK_INT(number, SIGUSR1);
    signal_watch_free(&watch);
    loop_free(&loop);
}

int main(void) {
    RUN(tasks_run_once_in_the_order_of_phases_all_in_one_turn);
    RUN(a_task_that_defers_itself_runs_in_the_next_turn_without_a_wait);
    RUN(what_is_done_again_is_as_much_as_fits_into_a_turn_and_keeps_its_order);
    RUN(a_task_may_go_on_in_a_later_phase_of_its_turn);
    RUN(two_tasks_that_defer_each_other_do_not_starve_the_timers);
    RUN(a_cancelled_task_of_the_same_batch_does_not_run);
    RUN(free_tasks_that_are_left_run_when_the_loop_goes);
    RUN(thousands_of_timers_fire_in_order_and_stopped_ones_do_not);
    RUN(timers_of_one_moment_fire_in_the_order_of_their_start);
    RUN(a_timer_may_stop_others_start_itself_and_free_itself);
    RUN(a_timer_that_is_always_due_fires_once_a_turn);
    RUN(a_sooner_timer_wakes_a_loop_that_waits_for_a_later_one);
    RUN(a_timer_for_the_end_of_time_is_only_far_away);
    RUN(a_signal_is_told_in_the_loop);
    return 0;
}
