#include "net/mailbox.h"

#include <pthread.h>
#include <sched.h>

#include "net_kit.h"

enum { SENDERS = 4, MAILS = 20000 };

struct letter {
    struct mail mail;
    int sender, number;
};

static struct loop *loop;
static struct mailbox *mailbox;
static int next_number[SENDERS], received, dropped, stop_after;
static struct letter *answer; /* posted when the first letter comes */

static void on_letter(struct mail *mail, void *receiver, bool is_dropped) {
    struct letter *letter = container_of(mail, struct letter, mail);
    CHECK(receiver == &received);
    if (is_dropped) dropped++;
    else received++;
    CHECK_INT(letter->number, next_number[letter->sender]++);
    free(letter);
    if (answer) CHECK(mailbox_post(mailbox, &answer->mail));
    answer = NULL;
    if (received == stop_after) loop_stop(loop);
}

static struct letter *write_letter(int sender, int number, size_t weight) {
    struct letter *letter = malloc(sizeof *letter);
    *letter =
        (struct letter){.mail = {.weight = weight, .deliver = on_letter}, .sender = sender, .number = number};
    return letter;
}

static void begin(size_t most_mail, size_t most_weight) {
    loop = loop_new();
    mailbox = mailbox_new(loop, &received, most_mail, most_weight);
    memset(next_number, 0, sizeof next_number);
    received = dropped = stop_after = 0;
}

static void *send_letters(void *context) {
    int sender = *(int *)context;
    for (int i = 0; i < MAILS; i++) {
        struct letter *letter = write_letter(sender, i, 10);
        if (i % 1000 == 0) mailbox_post_always(mailbox, &letter->mail);
        else
            while (!mailbox_post(mailbox, &letter->mail)) sched_yield();
    }
    return NULL;
}

static void four_threads_mail_arrives_whole_and_in_the_order_of_each(void) {
    begin(1000, 1000000);
    stop_after = SENDERS * MAILS;
    pthread_t threads[SENDERS];
    int numbers[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, send_letters, &numbers[i]);
    }
    kit_run(loop);
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT(next_number[i], MAILS);
    }
    mailbox_free(&mailbox);
    CHECK_INT(dropped, 0);
    loop_free(&loop);
}

static void a_full_mailbox_refuses_by_count_and_by_weight_and_drops_at_its_end(void) {
    begin(3, 100);
    struct letter *refused = write_letter(0, 3, 1);
    for (int i = 0; i < 3; i++) CHECK(mailbox_post(mailbox, &write_letter(0, i, 1)->mail));
    CHECK(!mailbox_post(mailbox, &refused->mail));
    mailbox_post_always(mailbox, &refused->mail);
    mailbox_free(&mailbox);
    CHECK_INT(dropped, 4);
    CHECK_INT(received, 0);
    loop_free(&loop);

    begin(100, 100);
    CHECK(mailbox_post(mailbox, &write_letter(0, 0, 60)->mail));
    refused = write_letter(0, 1, 41);
    CHECK(!mailbox_post(mailbox, &refused->mail));
    refused->mail.weight = 40;
    CHECK(mailbox_post(mailbox, &refused->mail));
    mailbox_free(&mailbox);
    CHECK_INT(dropped, 2);
    loop_free(&loop);
}

static void an_empty_mailbox_takes_a_mail_over_its_weight(void) {
    begin(10, 100);
    CHECK(mailbox_post(mailbox, &write_letter(0, 0, 1000)->mail));
    mailbox_free(&mailbox);
    loop_free(&loop);
}

static void *send_one(void *context) {
    (void)context;
    CHECK(mailbox_post(mailbox, &write_letter(0, 0, 1)->mail));
    return NULL;
}

static void a_single_mail_wakes_a_loop_that_waits(void) {
    begin(10, 100);
    pthread_t thread;
    for (int i = 0; i < 100; i++) {
        stop_after = i + 1;
        next_number[0] = 0;
        pthread_create(&thread, NULL, send_one, NULL);
        kit_run(loop);
        pthread_join(thread, NULL);
    }
    mailbox_free(&mailbox);
    CHECK_INT(dropped, 0);
    loop_free(&loop);
}

static void quiet_mail_waits_for_the_bell_or_for_mail_that_rings(void) {
    begin(3, 100);
    loop_turn(loop);
    CHECK(mailbox_post_quietly(mailbox, &write_letter(0, 0, 1)->mail));
    CHECK(mailbox_post_quietly(mailbox, &write_letter(0, 1, 1)->mail));
    loop_turn(loop);
    CHECK_INT(received, 0);
    mailbox_ring(mailbox);
    loop_turn(loop);
    CHECK_INT(received, 2);
    mailbox_ring(mailbox); /* for nothing */
    CHECK(mailbox_post_quietly(mailbox, &write_letter(0, 2, 1)->mail));
    CHECK(mailbox_post(mailbox, &write_letter(0, 3, 1)->mail));
    loop_turn(loop);
    CHECK_INT(received, 4);
    for (int i = 4; i < 7; i++) CHECK(mailbox_post_quietly(mailbox, &write_letter(0, i, 1)->mail));
    struct letter *refused = write_letter(0, 7, 1);
    CHECK(!mailbox_post_quietly(mailbox, &refused->mail));
    mailbox_post_always(mailbox, &refused->mail);
    loop_turn(loop);
    CHECK_INT(received, 8);
    mailbox_free(&mailbox);
    loop_free(&loop);
}

static int turns;
static void count_turn(struct task *task) {
    turns++;
    if (received < 3001) loop_defer(loop, LOOP_RUN, task);
    else loop_stop(loop);
}

static void much_mail_is_spread_over_turns_and_makes_room(void) {
    begin(3000, 3000);
    struct task task;
    turns = 0;
    answer = write_letter(1, 0, 1); /* has room as soon as the first batch is taken out */
    task_init(&task, count_turn);
    for (int i = 0; i < 3000; i++) CHECK(mailbox_post(mailbox, &write_letter(0, i, 1)->mail));
    loop_defer(loop, LOOP_RUN, &task);
    kit_run(loop);
    CHECK_INT(received, 3001);
    CHECK(turns >= 10);
    for (int i = 3000; i < 6000; i++) CHECK(mailbox_post(mailbox, &write_letter(0, i, 1)->mail));
    mailbox_free(&mailbox);
    CHECK_INT(dropped, 3000);
    loop_free(&loop);
}

int main(void) {
    RUN(four_threads_mail_arrives_whole_and_in_the_order_of_each);
    RUN(a_full_mailbox_refuses_by_count_and_by_weight_and_drops_at_its_end);
    RUN(an_empty_mailbox_takes_a_mail_over_its_weight);
    RUN(a_single_mail_wakes_a_loop_that_waits);
    RUN(quiet_mail_waits_for_the_bell_or_for_mail_that_rings);
    RUN(much_mail_is_spread_over_turns_and_makes_room);
    return 0;
}
