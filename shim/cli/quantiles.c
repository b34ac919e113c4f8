#include "quantiles.h"

#include <stdlib.h>

#define SUB_BITS 5
#define SUBS (1u << SUB_BITS)
#define TOP_BIT 50 /* values of microseconds up to 35 years */
#define BUCKETS ((TOP_BIT - SUB_BITS + 2) * SUBS)

static unsigned bucket_of(uint64_t value)
{
    if (value < SUBS)
        return (unsigned)value;
    if (value >> (TOP_BIT + 1))
        return BUCKETS - 1;
    unsigned top = 63 - (unsigned)__builtin_clzll(value);
    return (top - SUB_BITS + 1) * SUBS + ((unsigned)(value >> (top - SUB_BITS)) & (SUBS - 1));
}

/* The largest value that falls into a bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < SUBS)
        return bucket;
    unsigned shift = bucket / SUBS - 1;
    return (((uint64_t)SUBS + bucket % SUBS + 1) << shift) - 1;
}

void quantiles_add(struct quantiles *quantiles, uint64_t value)
{
    quantiles->count++;
    quantiles->sum += value;
    if (value > quantiles->max)
        quantiles->max = value;
    if (!value) {
        quantiles->zeros++;
        return;
    }
    if (!quantiles->buckets && !(quantiles->buckets = calloc(BUCKETS, sizeof *quantiles->buckets)))
        abort();
    quantiles->buckets[bucket_of(value)]++;
}

uint64_t quantiles_at(const struct quantiles *quantiles, unsigned of_thousand)
{
    uint64_t rank = (quantiles->count * of_thousand + 999) / 1000, seen = quantiles->zeros;
    for (unsigned bucket = 0; seen < rank && quantiles->buckets && bucket < BUCKETS; bucket++) {
        seen += quantiles->buckets[bucket];
        if (seen >= rank)
            return bucket_end(bucket) < quantiles->max ? bucket_end(bucket) : quantiles->max;
    }
    return 0;
}

void quantiles_free(struct quantiles *quantiles)
{
    free(quantiles->buckets);
    quantiles->buckets = NULL;
}
