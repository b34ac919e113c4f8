#include "known.h"

#include <stddef.h>
#include <string.h>

enum { FREE, FILLING, LIVE, STATE_MASK = 3, NEXT_USE = 4 };

/* Never touched, so never in memory, but for the slots that are in use: whether they are is said beside the table. */
static struct stage_known table[STAGES_KNOWN_MAX];

/* Free, filling or live, and which use of the slot this is. */
static unsigned states[STAGES_KNOWN_MAX];

static unsigned *state_of(const struct stage_known *known)
{
    return &states[known - table];
}

int stage_known_count;

struct stage_known *known_reserve(void)
{
    for (struct stage_known *known = table; known < table + STAGES_KNOWN_MAX; known++) {
        unsigned state = __atomic_load_n(state_of(known), __ATOMIC_RELAXED);
        if ((state & STATE_MASK) == FREE && __atomic_compare_exchange_n(state_of(known), &state, state + NEXT_USE + FILLING, false,
                                                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
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
    for (struct stage_known *known = previous ? table + (previous - table) + 1 : table; known < table + STAGES_KNOWN_MAX; known++) {
        unsigned state = __atomic_load_n(state_of(known), __ATOMIC_ACQUIRE);
        if ((state & STATE_MASK) == LIVE)
            return (struct known_use){ known, state };
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
