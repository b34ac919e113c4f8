/*
 * Quantiles of any number of values in a fixed amount of memory: a histogram whose buckets are 1/32 of a power of two wide, so
 * that what it answers is at most 3.2 % too high, and never above the largest value. Small values are exact.
 */
#ifndef CLI_QUANTILES_H
#define CLI_QUANTILES_H

#include <stdint.h>

struct quantiles {
    uint64_t count, zeros, sum, max;
    uint32_t *buckets; /* made with the first value that isn't 0 */
};

void quantiles_add(struct quantiles *, uint64_t value);

/* The value that a part `of_thousand` / 1000 of all values don't exceed; 0 where there are none. */
uint64_t quantiles_at(const struct quantiles *, unsigned of_thousand);

void quantiles_free(struct quantiles *);

#endif
