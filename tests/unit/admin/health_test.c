/* The health service on a wire and a mailbox that the test moves. */
#include "admin/health.h"

#include "admin_kit.h"
#include "net/mailbox.h"

/* ---- a mailbox whose mail the test delivers ---- */

struct mailbox {
    void *receiver;
    struct mail *mail;
    size_t count;
};

struct mailbox *mailbox_new(struct loop *loop, void *receiver, size_t most_mail, size_t most_weight) {
    (void)loop, (void)most_mail, (void)most_weight;
    struct mailbox *mailbox = memory_new(sizeof *mailbox);
    mailbox->receiver = receiver;
    return mailbox;
}
static struct mailbox *last_mailbox;
void mailbox_post_always(struct mailbox *mailbox, struct mail *mail) {
    mail->next = mailbox->mail;
    mailbox->mail = mail;
    mailbox->count++;
    last_mailbox = mailbox;
}
static void deliver(struct mailbox *mailbox, bool is_dropped) {
    while (mailbox->mail) {
        struct mail *mail = mailbox->mail;
        mailbox->mail = mail->next;
        mailbox->count--;
        mail->deliver(mail, mailbox->receiver, is_dropped);
    }
}
void mailbox_free(struct mailbox **mailbox) {
    deliver(*mailbox, true);
    if (last_mailbox == *mailbox) last_mailbox = NULL;
    free(*mailbox);
    *mailbox = NULL;
}

/* ---- the rig ---- */

enum { SERVING = 1, NOT_SERVING, SERVICE_UNKNOWN };
#define PATH "/grpc.health.v1.Health/"
#define TEXT(text) text, sizeof text - 1

static struct health *health;
static struct health_worker *worker;
static struct http_session *session;

static void start(void) {
    fake_start(NULL);
    health = health_new();
    health_set_services(health, (const char *const[]){"shop.Shop", NULL});
    worker = health_worker_new(health, &fake_loop);
    health_add_routes(worker, fake_router);
    session = fake_accept();
}

static void stop(void) {
    fake_stop();
    health_worker_free(&worker);
    health_free(&health);
}

static void news(void) {
    if (last_mailbox) deliver(last_mailbox, false);
    fake_turn();
}

static void set(const char *service, bool is_serving) {
    health_set(health, service, is_serving);
    news();
}

static struct http_stream *watch(const void *service, size_t length) {
    return kit_ask_text(session, PATH "Watch", 1, service, length, true);
}

/* The next status that a watcher got, or -1. */
static int told(struct http_stream *stream) {
    struct buffer message = {0};
    if (!kit_next(stream, &message)) return -1;
    CHECK_INT(buffer_length(&message), 2);
    CHECK_INT(buffer_bytes(&message)[0], 1 << 3);
    int status = buffer_bytes(&message)[1];
    buffer_free(&message);
    return status;
}

static void goodbye(struct http_stream *stream) {
    fake_stream_close(stream, HTTP_CANCEL, false);
    fake_turn();
    fake_stream_free(stream);
}

/* ---- Check ---- */

static int check(const void *service, size_t length) {
    struct http_stream *stream = kit_ask_text(session, PATH "Check", 1, service, length, true);
    int status = told(stream);
    CHECK_INT(kit_status(stream), status < 0 ? STATUS_NOT_FOUND : STATUS_OK);
    fake_stream_free(stream);
    return status;
}

static void a_check_knows_names_by_all_their_bytes(void) {
    start();
    CHECK_INT(check(TEXT("")), SERVING);
    CHECK_INT(check(TEXT("shop.Shop")), SERVING);
    CHECK_INT(check(TEXT("shop.Shop\0")), -1);
    CHECK_INT(check(TEXT("\0")), -1);
    CHECK_INT(check(TEXT("shop")), -1);
    stop();
}

static void a_request_that_is_none_ends_the_call(void) {
    struct buffer bytes = {0};
    start();
    buffer_append(&bytes, "\x0a\x7fshort", 7);
    for (int i = 0; i < 2; i++) {
        struct http_stream *stream = kit_ask(session, i ? PATH "Watch" : PATH "Check", &bytes, true);
        CHECK_INT(kit_status(stream), STATUS_INTERNAL);
        CHECK_INT(told(stream), -1);
        fake_stream_free(stream);
    }
    buffer_free(&bytes);
    stop();
}

static void a_name_that_nobody_has_is_not_kept(void) {
    static char name[5000];
    memset(name, 'x', sizeof name);
    start();
    struct http_stream *stream = watch(name, sizeof name);
    CHECK_INT(kit_status(stream), STATUS_RESOURCE_EXHAUSTED);
    fake_stream_free(stream);
    stop();
}

/* ---- Watch ---- */

static void a_watcher_hears_each_change_once(void) {
    start();
    struct http_stream *stream = watch(TEXT("shop.Shop")), *other = watch(TEXT("late.Late"));
    CHECK_INT(told(stream), SERVING);
    CHECK_INT(told(other), SERVICE_UNKNOWN);
    set("shop.Shop", true);
    set("", false);
    CHECK_INT(told(stream), -1);
    set("shop.Shop", false);
    CHECK_INT(told(stream), NOT_SERVING);
    set("late.Late", false);
    CHECK_INT(told(other), NOT_SERVING);
    health_set_services(health, (const char *const[]){NULL});
    news();
    CHECK_INT(told(stream), SERVICE_UNKNOWN); /* the config has it no more */
    CHECK_INT(told(other), -1);               /* a script's own stays */
    CHECK_INT(kit_status(stream), -1);
    goodbye(stream);
    goodbye(other);
    stop();
}

static void a_name_with_a_nul_stays_the_name_it_was(void) {
    start();
    struct http_stream *stream = watch(TEXT("shop.Shop\0x"));
    CHECK_INT(told(stream), SERVICE_UNKNOWN);
    set("shop.Shop", false); /* is not what is watched */
    CHECK_INT(told(stream), -1);
    goodbye(stream);
    stop();
}

static void changes_of_one_moment_merge(void) {
    start();
    struct http_stream *stream = watch(TEXT("shop.Shop"));
    CHECK_INT(told(stream), SERVING);
    for (int i = 0; i < 100; i++) health_set(health, "shop.Shop", i % 2);
    CHECK_INT(last_mailbox->count, 1);
    news();
    CHECK_INT(told(stream), -1); /* serving, as before */
    set("shop.Shop", false);
    CHECK_INT(told(stream), NOT_SERVING);
    goodbye(stream);
    stop();
}

static void a_slow_watcher_has_one_status_waiting_and_the_newest_last(void) {
    start();
    struct http_stream *stream = watch(TEXT("shop.Shop"));
    CHECK_INT(told(stream), SERVING);
    stream->window = 0;
    for (int i = 0; i < 1000; i++) set("shop.Shop", i % 2);
    CHECK(rpc_counters(fake_rpc)->buffered < 16);
    set("shop.Shop", false);
    stream->window = 3;
    fake_turn();
    CHECK_INT(told(stream), -1);
    stream->window = 1000;
    fake_turn();
    CHECK_INT(told(stream), NOT_SERVING); /* what waited */
    CHECK_INT(told(stream), -1);
    stream->window = 0;
    set("shop.Shop", true);
    set("shop.Shop", false);
    stream->window = 1000;
    fake_turn();
    CHECK_INT(told(stream), SERVING);
    CHECK_INT(told(stream), NOT_SERVING); /* what became true while that waited */
    CHECK_INT(told(stream), -1);
    goodbye(stream);
    stop();
}

static void a_drain_ends_a_watch_after_its_last_status(void) {
    start();
    struct http_stream *stream = watch(TEXT("shop.Shop")), *slow = watch(TEXT(""));
    CHECK_INT(told(stream), SERVING);
    slow->window = 0;
    CHECK_INT(told(slow), SERVING);
    health_shut_down(health);
    rpc_drain(fake_rpc);
    fake_turn();
    CHECK_INT(told(stream), NOT_SERVING);
    CHECK_INT(kit_status(stream), STATUS_UNAVAILABLE);
    slow->window = 1000;
    fake_turn();
    CHECK_INT(told(slow), NOT_SERVING);
    CHECK_INT(kit_status(slow), STATUS_UNAVAILABLE);
    news(); /* finds no watcher any more */
    stop();
    fake_stream_free(stream);
    fake_stream_free(slow);
}

static void a_shut_down_is_for_ever(void) {
    start();
    health_shut_down(health);
    set("shop.Shop", true);
    set("new.New", true);
    CHECK_INT(check(TEXT("shop.Shop")), NOT_SERVING);
    CHECK_INT(check(TEXT("new.New")), NOT_SERVING);
    CHECK_INT(check(TEXT("")), NOT_SERVING);
    stop();
}

/* ---- List ---- */

static struct http_stream *list(struct buffer *message) {
    struct buffer empty = {0};
    struct http_stream *stream = kit_ask(session, PATH "List", &empty, true);
    buffer_clear(message);
    kit_next(stream, message);
    return stream;
}

static void a_list_has_every_service_with_its_status(void) {
    struct buffer message = {0};
    start();
    health_set(health, "shop.Shop", false);
    struct http_stream *stream = list(&message);
    CHECK_INT(kit_status(stream), STATUS_OK);
    CHECK_INT(buffer_length(&message), 25);
    CHECK(kit_contains(&message, "\x0a\x0f\x0a\x09shop.Shop\x12\x02\x08\x02"));
    fake_stream_free(stream);
    health_shut_down(health);
    stream = list(&message);
    CHECK(kit_contains(&message, "shop.Shop\x12\x02\x08\x02"));
    CHECK(!kit_contains(&message, "\x12\x02\x08\x01")); /* "" too */
    fake_stream_free(stream);
    buffer_free(&message);
    stop();
}

static void a_list_has_at_most_100_services(void) {
    struct buffer message = {0};
    char name[16];
    start(); /* with "" and shop.Shop */
    for (int i = 2; i <= 100; i++) {
        struct http_stream *stream = list(&message);
        CHECK_INT(kit_status(stream), STATUS_OK);
        fake_stream_free(stream);
        snprintf(name, sizeof name, "s%d", i);
        health_set(health, name, true);
    }
    struct http_stream *stream = list(&message);
    CHECK_INT(kit_status(stream), STATUS_RESOURCE_EXHAUSTED);
    CHECK_INT(buffer_length(&message), 0);
    fake_stream_free(stream);
    buffer_free(&message);
    stop();
}

int main(void) {
    RUN(a_check_knows_names_by_all_their_bytes);
    RUN(a_request_that_is_none_ends_the_call);
    RUN(a_name_that_nobody_has_is_not_kept);
    RUN(a_watcher_hears_each_change_once);
    RUN(a_name_with_a_nul_stays_the_name_it_was);
    RUN(changes_of_one_moment_merge);
    RUN(a_slow_watcher_has_one_status_waiting_and_the_newest_last);
    RUN(a_drain_ends_a_watch_after_its_last_status);
    RUN(a_shut_down_is_for_ever);
    RUN(a_list_has_every_service_with_its_status);
    RUN(a_list_has_at_most_100_services);
    return 0;
}
