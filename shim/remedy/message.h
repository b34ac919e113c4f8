/*
 * The sentence for a person that every line has, made of the same facts as its fields. Safe anywhere.
 */
#ifndef REMEDY_MESSAGE_H
#define REMEDY_MESSAGE_H

#include "../event/event.h"
#include "../sys/text.h"

/* Adds it, for an event whose other members are in place. */
void message_add(struct text *, const struct event *);

#endif
