/* script/semaphore.h - what streams hold of semaphores that scripts have made. */
#ifndef TIDEWIRE_SCRIPT_SEMAPHORE_H
#define TIDEWIRE_SCRIPT_SEMAPHORE_H
#include "base/list.h"

/* The stream has ended: all that it holds is given back. */
void semaphores_forget_stream(struct list *holdings);
#endif
