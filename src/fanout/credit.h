/* fanout/credit.h - TOPIC_BLOCK: publishers wait for the slowest. Private to fanout/.
 *
 * Each worker that has blocking subscribers of a topic grants credits: as many as the fullest of their queues has places
 * left. A publisher takes one from each such worker before it publishes, all or none, so that no queue grows beyond its
 * bound; one that gets none waits in its own worker, behind those that wait there already.
 *
 *   subscriber's worker:  queues shrink → settle: grants what there is room for → wakes the workers where some wait
 *   publisher's worker:   takes credits; or waits, and presses the workers that had none → they look who holds it up
 *
 * Nothing is lost between "no credits" and "waits": who waits says so before it tries again, and who grants looks for
 * who waits after it has granted (both sequentially consistent). Press and wake are one mail at a time. */
#ifndef TIDEWIRE_FANOUT_CREDIT_H
#define TIDEWIRE_FANOUT_CREDIT_H

struct topic;

void credit_open(struct topic *topic);
void credit_close(struct topic *topic);
void credit_blocker_joined(struct topic *topic);
void credit_blocker_left(struct topic *topic);
/* The queues of its blocking subscribers may have changed: looks later in this turn. */
void credit_note_room(struct topic *topic);
#endif
