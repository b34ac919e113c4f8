/*
 * What chattr(1) sets on a file: inode flags (no dump, no access times, no copy-on-write, …), project id, extent size hints.
 * For use within stage/; safe anywhere.
 */
#ifndef STAGE_FLAGS_H
#define STAGE_FLAGS_H

/*
 * Gives the empty file behind `to` the flags of the one behind `from`, an O_PATH descriptor. Empty, because some flags say how
 * content is to be stored. Returns NULL, or the reason why it can't be; a file system that has none is content.
 */
const char *flags_copy(int from, int to);

#endif
