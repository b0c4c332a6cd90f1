#include "gateway/worker.h"

#include "base/clock.h"
#include "config/config.h"

#include "check.h"

static void workers_share_what_the_process_may_buffer(void) {
    static const struct config config = {
        .limits = {.buffered_per_connection = 3 << 20, .buffered_total = 12 << 20, .stalled = 7 * NS_PER_S}};
    const struct rpc_limits alone = worker_rpc_limits(&config, 1), of_three = worker_rpc_limits(&config, 3);
    CHECK_INT(alone.buffered_total, 12 << 20);
    CHECK_INT(of_three.buffered_total, 4 << 20);
    CHECK_INT(of_three.buffered_per_connection, 3 << 20);
    CHECK_INT(of_three.stalled, 7 * NS_PER_S);
}

int main(void) {
    RUN(workers_share_what_the_process_may_buffer);
    return 0;
}
