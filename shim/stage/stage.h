/*
 * The stage: a new file beside the target that will take its name.
 *
 *            stage_create                  the last holder lets go,
 *   (none) ───────────────► HELD ───────── or the creator exits ────────► READY ── stage_commit ─► the target's name
 *      born without a name,  │ ▲                                            │ rename fails: keeps its own name,
 *      locked, then linked   │ └── stage_adopt, by the next image           │ the program is told
 *                            │
 *                            ├── a write fails, or a writing child is killed and its parent lets go: ABORTED by stage_abort,
 *                            │   without a name; the last close says so
 *                            └── every holder is killed: LITTER, until stage_sweep
 *
 * The kernel is the reference count. Whoever writes to a stage holds a shared flock on the open file description, which
 * every dup, fork child, exec'ed heir and passed descriptor shares and which goes with the last of them. Whoever lets go of a
 * descriptor first joins the holders through a description of its own (stage_release_begin), then lets go, then tries to turn
 * its lock into an exclusive one (stage_release_end). Linux does that in one step (since 4.1; a failure costs the shared lock, as
 * measured on 6.18), so of two that let go at once the last one succeeds, and a sweeper, which takes an exclusive lock from
 * nothing, can't come between.
 *
 * Who may see what: other processes see a stage only with its content (if it starts with the old one), owner and mode in
 * place. A killed process leaves the target as it was. A fork child knows what its parent knew.
 *
 * What a commit replaces may stay, as a generation of the target: generation.h.
 *
 * Nothing here decides or says anything: results go up, to remedy/. Everything is safe anywhere, and keeps no descriptor
 * beyond a call but those that it returns. Where errno is promised it is the refused call's.
 */
#ifndef STAGE_H
#define STAGE_H

#include <linux/limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "../sys/call.h"
#include "generation.h"
#include "known.h"
#include "name.h"

/* A file that is to be replaced, or made. */
struct stage_target {
    struct statx file;       /* all zero: there is none yet */
    size_t directory_length; /* of path, without the slash before the last component */
    char path[PATH_MAX];     /* absolute, without symbolic links, as the kernel knows it */
};

/* Its name in its directory. */
static inline const char *stage_base(const struct stage_target *target)
{
    return target->path + target->directory_length + 1;
}

/*
 * Finds what `path` leads to, symbolic links followed unless `flags` has O_NOFOLLOW, `resolve` as in openat2(2).
 * Returns 0, or -1 with errno.
 */
int stage_resolve(struct stage_target *, int dirfd, const char *path, int flags, uint64_t resolve);

/*
 * The same for a file that an open would create. Returns -1, with any errno, when there is something under that name (a symbolic
 * link that leads nowhere, too), or when the path can't be one of a new file.
 */
int stage_resolve_new(struct stage_target *, int dirfd, const char *path, uint64_t resolve);

/* Whether the target is itself a stage: opened by its name in /proc, or by somebody who found it in its directory. */
bool stage_is_target(const struct stage_target *);
/* Whether it is a swap file in use, which opens for writing and yet refuses to be truncated or written with ETXTBSY. */
bool stage_is_swap_file(const struct stage_target *);

struct stage_request {
    const struct stage_target *target;
    enum stage_kind kind;
    int flags;    /* of the caller's open */
    mode_t mode;  /* likewise, for a new file */
    int64_t keep; /* how many bytes of the old content to start with; STAGE_KEEP_ALL, 0 for none */
    bool breaks_hard_links;
    const char *op;
    struct stage_generation *generation; /* for a stage that is published at its birth; NULL: keep nothing then */
    bool respects_locks;                 /* refused as STAGE_LOCKED while another process has an advisory lock on the target */
    bool alone;   /* refused as STAGE_SERIALISED while somebody else replaces the target, or when that has just been done */
    bool unused;  /* made for a program that may never be started: until it is, this process's exit doesn't put it in place */
    bool *joined; /* set when another thread has just made one, and the descriptor is of that; NULL: nobody asks */
};

#define STAGE_KEEP_ALL INT64_MAX

/* The two reasons for which it is worth asking again: when the target has been resolved anew. */
#define STAGE_LOCKED "locked"
#define STAGE_SERIALISED "serialised"

/*
 * Makes a stage and returns a descriptor of it: at the lowest free number, with the access mode and flags of the request.
 * Returns -1 when the target can't be replaced faithfully, with *reason, a word that the log's schema explains.
 * Leaves nothing behind then.
 */
int stage_create(const struct stage_request *, const char **reason);

/*
 * Another descriptor of the stage that this process has for the target already, or -1 when it has none, with errno EAGAIN where
 * there was one that has been finished meanwhile: then the target is to be resolved anew. O_TRUNC empties it, as it would the
 * target.
 */
int stage_join(const struct stage_target *, int flags);

/* After an open for writing that may have led to a stage by its own name (/proc/self/fd/N): takes the lock for it. */
void stage_join_opened(int fd);

/* Whether the descriptor is a known stage's. */
bool stage_is(int fd);

/*
 * Of a stage that was made `unused`: it is used from now on; or it is not wanted any more, which is true for one that nobody has
 * joined: then it is to be discarded, and nobody does. Where the descriptor isn't of such a stage nothing happens.
 */
void stage_set_used(int fd);
bool stage_withdraw(int fd);

/* The file that a stage's descriptor stands for as long as the stage has its name. Returns false for other descriptors. Keeps
 * errno. */
struct stage_identity {
    uint32_t major, minor;
    uint64_t inode;
};
bool stage_identify(int fd, struct stage_identity *);

/* What became of a stage, in numbers and names for a report. */
struct stage_report {
    uint64_t device, inode; /* of the stage */
    uint64_t target_inode;  /* that it replaced; 0: none */
    uint64_t bytes;
    const char *op; /* the entry point that asked for it; NULL if that was before an exec */
    enum stage_kind kind;
    bool early;                         /* somebody could still write */
    struct stage_generation generation; /* `wanted` is for the committer to say */
    char path[PATH_MAX];
    char target[PATH_MAX];
};

/*
 * One stage that this process lets go of. Begun by one of the functions below, filled in by stage_release_end, ended by
 * stage_commit or stage_release_finish. In the caller's frame, so that a fork or a signal in between does no harm. Meanwhile
 * the thread can't be cancelled: close(2) is where that would happen, and nobody would ask any more.
 */
struct stage_release {
    struct known_use known; /* without a slot: not a stage */
    int asker;              /* our own description, which has joined the holders; -1 when there was no descriptor to be had */
    bool held;              /* this process had a descriptor of it when the release began */
    bool last_word;         /* the creator's exit: commit, held or not */
    bool leaves;            /* at exit or exec: this process lets go of it, though it has descriptors still */
    int cancellation;       /* what it was before, for process.h */
};

/* Before one descriptor goes. Returns false, quickly, when it isn't a stage's. */
bool stage_release_begin(struct stage_release *, int fd);

/*
 * Before descriptors go without a further call: at exit all of them, at exec those of stages that are close-on-exec alone.
 * Goes through the stages concerned, from a zeroed release on, and returns false at the end. Each descriptor gets a fresh
 * description of the same file in its place, at the same offset and without the lock, so that later writes still land
 * and the question can be asked now.
 */
enum stage_moment { STAGE_AT_EXIT, STAGE_AT_EXEC };
bool stage_release_next(struct stage_release *, enum stage_moment);

/*
 * Which stages somebody else may come to own: those with a descriptor that isn't close-on-exec; also those that this process
 * made; or, by the file actions of a posix_spawn, any.
 */
enum stage_survivor { STAGE_SURVIVES, STAGE_OURS_OR_SURVIVES, STAGE_SURVIVES_BY_FILE_ACTIONS };

/*
 * Before a program starts that would inherit stages and can't adopt them: what is found is to be committed, held or not.
 * With `unadoptable` only those are found that no program could adopt.
 */
bool stage_publish_next(struct stage_release *, enum stage_survivor, bool unadoptable);

/* Later: the same for stages that this process let go of while others held them. */
bool stage_pending_next(struct stage_release *);

/* Whether there is one of them still. */
bool stage_is_pending(void);

enum stage_end {
    STAGE_NONE,    /* it isn't a stage any more: somebody has committed it */
    STAGE_HELD,    /* somebody else will finish it */
    STAGE_PENDING, /* likewise, but this process made it, and nobody has been told yet */
    STAGE_READY,   /* nobody writes any more, or this is the creator's last word: to be committed */
    STAGE_SPOILT,  /* a child that wrote to it was killed, nobody has written since, and this process lets go: to be aborted */
    STAGE_ABORTED, /* a write to it had failed, and this was the process's last descriptor: the program is to be told, errno */
    STAGE_LOST,    /* it is out of reach (another root, without /proc): the bytes are in it still, where the report says */
};

/*
 * After the descriptors are gone. Fills the report, unless the answer is STAGE_NONE. May be called again after STAGE_PENDING:
 * others may have let go meanwhile. Where nobody can be asked (no descriptor to be had, a file mode that keeps us out) the
 * answer is STAGE_READY.
 */
enum stage_end stage_release_end(struct stage_release *, struct stage_report *);

/*
 * A write to it has failed: takes its name away, so that no process can publish half a file. From then on this process knows
 * that it is ABORTED, and other holders find out when they let go of it. Fills the report, which may be NULL where there is no
 * memory for one. Returns false when it was so before, or the stage has its target's name already: then the writer writes in place.
 * Keeps errno.
 */
bool stage_abort(struct stage_release *, int error, struct stage_report *);

/* Remembers that this has been said, and that the program goes on without the stage. */
void stage_set_pending(const struct stage_release *);
void stage_release_finish(struct stage_release *);

enum stage_outcome {
    STAGE_REPLACED,   /* the stage is the target now */
    STAGE_CREATED,    /* likewise, and there was none before */
    STAGE_UNCHANGED,  /* it was equal to the target, which keeps its inode: the stage is gone */
    STAGE_OVERTAKEN,  /* likewise, and the target was another file than when the stage was made: the last writer wins */
    STAGE_DISCARDED,  /* the target had been unlinked: in place, the bytes would be gone as well */
    STAGE_SUPERSEDED, /* what an earlier writer left, and the target has been replaced since: discarded */
    STAGE_FAILED,     /* errno: the bytes are in a file that the report names, and that no sweep removes */
    STAGE_GONE,       /* somebody else has committed it */
    STAGE_BUSY,       /* the file system answers ETXTBSY: nothing is changed, the release goes on, and it may be tried again */
};

enum stage_sync { STAGE_SYNC_NONE, STAGE_SYNC_DATA, STAGE_SYNC_FULL };

/*
 * Renames a READY stage over its target, and ends the release unless it is BUSY. Full: the file is synced before, the directory
 * after. What is replaced is kept as a generation where the report wants that.
 */
enum stage_outcome stage_commit(struct stage_release *, enum stage_sync, struct stage_report *);

/* Ends a release that is BUSY still: as after STAGE_FAILED. Keeps errno. */
void stage_keep(struct stage_release *, struct stage_report *);

/* Ends a begun release by removing the stage: nobody was to write to it after all. */
void stage_discard(struct stage_release *);

/*
 * Makes known the stages among this process's descriptors, after an exec. Believes a descriptor's name only when the file of
 * that name is the descriptor's, is a regular file with one link, and belongs to this user or the target's owner.
 */
void stage_adopt(void);

/*
 * Children that die. A parent that shares a stage with its child (a shell whose redirection it is) lives on, and lets go of it
 * like after a writer that has done its work. So who is about to write notes it where its parent will see it, and the parent, when
 * it learns how the child has ended, remembers the stage that a killed one has left.
 *
 * A writer is who has a stage as its standard output when it execs (stage_note_writer, in the child) or was spawned with it
 * (stage_note_child, in the parent). Other descriptors are often inherited by mistake.
 */
#define STAGE_OUTPUT 1
void stage_note_writer(void);
void stage_note_child(pid_t);
void stage_note_child_with(pid_t, int number, int fd); /* it was given what `fd` is of to write to, at that number */
bool stage_writer_ended(pid_t, int signal);            /* by which it was killed; 0: it wasn't. Whether a stage of its is pending */

/*
 * Before this process sends others a signal, named as for kill(2): who ends by it, and has found and left the stage as it is, is a
 * helper that isn't needed any more, not a writer that was killed.
 */
void stage_note_kill(pid_t target, int signal);

/* Before a child can be forked that may write: makes the place for those notes. */
void stage_share_writers(void);

/* Forgets the stages of others, vfork children among them, that are finished: their slots would be lost. */
void stage_forget_gone(void);

/* What is found in a directory, and becomes of it. */
enum stage_litter {
    LITTER_GONE,    /* meanwhile; never reported */
    LITTER_REMOVED, /* or would be, in a dry run */
    LITTER_HELD,    /* somebody still writes to it */
    LITTER_AWAITED, /* its creator lives, and may hold it or have to commit it. It isn't asked which: a creator that lets go at that
                       very moment would take the question's lock for a holder's */
    LITTER_YOUNG,   /* and may be between its birth and its lock; or its creator, in another PID namespace, may live */
    LITTER_FOREIGN, /* of a stage's name, but no regular file with one name: never made by us */
    LITTER_FAILED,  /* `error` */
    LITTER_KEPT,    /* bytes that couldn't be delivered, under the name that STAGE_FAILED gives them */
};

struct stage_finding {
    enum stage_litter what;
    int error;
    const char *name;
    struct stage_name parsed; /* not of LITTER_KEPT */
    struct statx file;
};

/* Somebody who wants to know. */
struct stage_listener {
    bool dry_run;
    void (*found)(void *context, const struct stage_finding *);
    void *context;
};

/*
 * Removes the stages in a directory that nobody holds and whose creator is no more (a creator may have to commit one that it
 * doesn't hold). `born_locked`: the file system has O_TMPFILE, so that none of them can be
 * between its birth and its lock; else those younger than a minute are left. Of another PID namespace's, whose processes can't
 * be seen, those younger than an hour are left. The listener may be NULL.
 * Returns 0, or -1 where the directory can't be read; keeps errno where there is no listener.
 */
int stage_sweep(int dirfd, bool born_locked, const struct stage_listener *);

#endif
