#include "refuse.h"

#include "intervention.h"

bool refuse_io_uring(void)
{
    struct intervention *intervention = intervention_begin(&intervention, "syscall", NULL, ENOSYS);
    if (!intervention)
        return false;
    enum policy_action action = intervention_decide(intervention, POLICY_WRITE, intervention->exe);
    bool refuses = action != ACTION_OFF && intervention->policy.value[KEY_IO_URING] == IO_URING_REFUSE;
    if (refuses) {
        intervention->event.reason = "io_uring";
        intervention_say(intervention, "refuse", "refused", "refused");
    }
    intervention_end(intervention);
    return refuses;
}
