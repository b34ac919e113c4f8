#include "known.h"

#include <stddef.h>

#include "../sys/lasting.h"

enum { FREE, FILLING, LIVE, STATE_MASK = 3, NEXT_USE = 4 };

/* Mapped for the first stage, and then in memory as far as slots have been in use: whether they are is said beside them. */
struct table {
    unsigned states[STAGES_KNOWN_MAX]; /* free, filling or live, and which use of the slot this is */
    struct stage_known slots[STAGES_KNOWN_MAX];
};

static void *mapped; /* a struct table; NULL as long as there has been no stage */

static unsigned *state_of(const struct stage_known *known)
{
    struct table *table = mapped;
    return &table->states[known - table->slots];
}

int stage_known_count;

struct stage_known *known_reserve(void)
{
    struct table *table = lasting_memory(&mapped, sizeof *table, LASTING_PRIVATE);
    for (size_t i = 0; table && i < STAGES_KNOWN_MAX; i++) {
        unsigned *place = &table->states[i], state = __atomic_load_n(place, __ATOMIC_RELAXED);
        if ((state & STATE_MASK) == FREE &&
            __atomic_compare_exchange_n(place, &state, state + NEXT_USE + FILLING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            struct stage_known *known = &table->slots[i];
            known->use = STAGE_USED;
            known->finisher = 0;
            known->pending = false;
            known->error = 0;
            known->bereaved = 0;
            known->op = NULL;
            return known;
        }
    }
    return NULL;
}

void known_publish(struct stage_known *known)
{
    __atomic_add_fetch(state_of(known), LIVE - FILLING, __ATOMIC_RELEASE);
    __atomic_add_fetch(&stage_known_count, 1, __ATOMIC_ACQ_REL);
}

void known_abandon(struct stage_known *known)
{
    __atomic_sub_fetch(state_of(known), FILLING - FREE, __ATOMIC_RELEASE);
}

bool known_is_current(struct known_use use)
{
    return __atomic_load_n(state_of(use.slot), __ATOMIC_ACQUIRE) == use.state;
}

bool known_fail(struct known_use use, int error)
{
    int none = 0;
    return known_is_current(use) &&
           __atomic_compare_exchange_n(&use.slot->error, &none, error, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void known_forget(struct known_use use)
{
    unsigned expected = use.state;
    if (__atomic_compare_exchange_n(state_of(use.slot), &expected, use.state - (LIVE - FREE), false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED))
        __atomic_sub_fetch(&stage_known_count, 1, __ATOMIC_ACQ_REL);
}

struct known_use known_next(const struct stage_known *previous)
{
    struct table *table = mapped;
    for (size_t i = previous ? (size_t)(previous - table->slots) + 1 : 0; table && i < STAGES_KNOWN_MAX; i++) {
        unsigned state = __atomic_load_n(&table->states[i], __ATOMIC_ACQUIRE);
        if ((state & STATE_MASK) == LIVE)
            return (struct known_use){ &table->slots[i], state };
    }
    return (struct known_use){ 0 };
}

struct known_use known_find(uint64_t device, uint64_t inode)
{
    struct known_use use = { 0 };
    while ((use = known_next(use.slot)).slot)
        if (use.slot->inode == inode && use.slot->device == device)
            return use;
    return use;
}
