#include <fcntl.h>
#include <unistd.h>

#include "../remedy/release.h"
#include "../remedy/run.h"
#include "../remedy/spawn_files.h"
#include "entries.h"

/*
 * What we have to know of file actions, kept in the last words of glibc's padding, which posix_spawn_file_actions_init
 * clears and nothing else touches (2.2 to 2.41, spawn.h).
 */
enum { MARK = 0x45545800, MARK_EXCLUSIVE = 1, MARK_DIRECTORY = 2, MARK_CLOSEFROM = 4, MARK_BITS = 7 };

static int *mark_of(posix_spawn_file_actions_t *actions)
{
    return &actions->__pad[sizeof actions->__pad / sizeof *actions->__pad - 1];
}

static bool is_marked(const posix_spawn_file_actions_t *actions, int bit)
{
    int mark = actions ? *mark_of((posix_spawn_file_actions_t *)actions) : 0;
    return (mark & ~MARK_BITS) == MARK && (mark & bit);
}

static void set_mark(posix_spawn_file_actions_t *actions, int bit)
{
    int *mark = mark_of(actions);
    *mark = MARK | ((*mark & ~MARK_BITS) == MARK ? *mark & MARK_BITS : 0) | bit;
}

/* The arguments of a spawn that the remedy doesn't look at. */
struct spawn {
    __typeof__(next.posix_spawn) real;
    int *pid; /* or a pidfd */
    const posix_spawn_file_actions_t *actions;
    const posix_spawnattr_t *attributes;
};

static int attempt_spawn(const struct run *run)
{
    const struct spawn *spawn = run->call;
    if (unlikely(spawn_files_count))
        spawn_files_rewind(spawn->actions);
    return spawn->real(spawn->pid, run->path, spawn->actions, spawn->attributes, run->argv, run->envp);
}

static int start(const char *op, const char *path, bool searches, const struct spawn *spawn, char *const argv[], char *const envp[])
{
    struct run run = {
        .op = op,
        .dirfd = AT_FDCWD,
        .path = path,
        .searches = searches,
        .spawns = true,
        .once = is_marked(spawn->actions, MARK_EXCLUSIVE),
        .files = spawn->actions,
        .call = spawn,
        .argv = argv,
        .envp = envp,
    };
    return run_program(&run, attempt_spawn);
}

static int answer(int error, const pid_t *pid)
{
    if (unlikely(stage_known_count) && !error && pid)
        stage_note_child(*pid);
    return error;
}

int wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                     char *const argv[], char *const envp[])
{
    return answer(start("posix_spawn", path, false, &(struct spawn){ NEXT(posix_spawn), pid, actions, attributes }, argv, envp),
                  pid);
}

int wrap_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                      char *const argv[], char *const envp[])
{
    return answer(start("posix_spawnp", file, true, &(struct spawn){ NEXT(posix_spawnp), pid, actions, attributes }, argv, envp),
                  pid);
}

#if __GLIBC_PREREQ(2, 39)
int wrap_pidfd_spawn(int *pidfd, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                     char *const argv[], char *const envp[])
{
    return start("pidfd_spawn", path, false, &(struct spawn){ NEXT(pidfd_spawn), pidfd, actions, attributes }, argv, envp);
}

int wrap_pidfd_spawnp(int *pidfd, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                      char *const argv[], char *const envp[])
{
    return start("pidfd_spawnp", file, true, &(struct spawn){ NEXT(pidfd_spawnp), pidfd, actions, attributes }, argv, envp);
}
#endif

/* What has been at this address before and was never destroyed ends here: its stages must not be taken for the new one's. */
int wrap_posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions)
{
    if (unlikely(spawn_files_count))
        spawn_files_close("posix_spawn_file_actions_init", actions);
    return NEXT(posix_spawn_file_actions_init)(actions);
}

int wrap_posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions, int fd, const char *path, int flags, mode_t mode)
{
    if (flags & O_EXCL)
        set_mark(actions, MARK_EXCLUSIVE);
    /* Behind a change of directory a relative path means a file that we can't know. */
    else if ((flags & (O_ACCMODE | O_TRUNC)) && !is_marked(actions, MARK_CLOSEFROM) &&
             (path[0] == '/' || !is_marked(actions, MARK_DIRECTORY))) {
        int stage = spawn_files_open(actions, path, flags, mode);
        if (unlikely(stage >= 0))
            return posix_spawn_file_actions_adddup2(actions, stage, fd);
    }
    return NEXT(posix_spawn_file_actions_addopen)(actions, fd, path, flags, mode);
}

int wrap_posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path)
{
    set_mark(actions, MARK_DIRECTORY);
    return NEXT(posix_spawn_file_actions_addchdir_np)(actions, path);
}

int wrap_posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *actions, int fd)
{
    set_mark(actions, MARK_DIRECTORY);
    return NEXT(posix_spawn_file_actions_addfchdir_np)(actions, fd);
}

#if __GLIBC_PREREQ(2, 34)
/* It would close our descriptor before an action behind it can use it. */
int wrap_posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from)
{
    set_mark(actions, MARK_CLOSEFROM);
    return NEXT(posix_spawn_file_actions_addclosefrom_np)(actions, from);
}
#endif

int wrap_posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions)
{
    if (unlikely(spawn_files_count))
        spawn_files_close("posix_spawn_file_actions_destroy", actions);
    return NEXT(posix_spawn_file_actions_destroy)(actions);
}

/* libc starts the shell by itself, with an environment that we can't add to: it can't adopt what it inherits. */
int wrap_system(const char *command)
{
    if (unlikely(stage_known_count) && command)
        release_to_stranger("system", STAGE_SURVIVES, false);
    int status = NEXT(system)(command);
    if (unlikely(stage_known_count))
        release_pending("system");
    return status;
}

FILE *wrap_popen(const char *command, const char *mode)
{
    if (unlikely(stage_known_count))
        release_to_stranger("popen", STAGE_SURVIVES, false);
    return NEXT(popen)(command, mode);
}
