/*
 * Why a file can't have a stage, in the words of the log's schema. For use within stage/; safe anywhere.
 */
#ifndef STAGE_REFUSAL_H
#define STAGE_REFUSAL_H

/* The reason that errno gives away, whichever call met it; `otherwise` for all that mean something else each time. */
const char *refusal_of(const char *otherwise);

#endif
