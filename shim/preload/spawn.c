#include <fcntl.h>

#include "../remedy/release.h"
#include "../remedy/run.h"
#include "../remedy/spawn_files.h"
#include "../remedy/spawn_list.h"
#include "entries.h"

/* The arguments of a spawn that the remedy doesn't look at. */
struct spawn {
    __typeof__(next.posix_spawn) real;
    int *pid; /* or a pidfd */
    const posix_spawnattr_t *attributes;
};

static int attempt_spawn(const struct run *run)
{
    const struct spawn *spawn = run->call;
    return spawn->real(spawn->pid, run->path, run->files->now, spawn->attributes, run->argv, run->envp);
}

enum who { BY_PID, BY_PIDFD };
#define SOMEBODY (-1)

static int start(const char *op, const char *path, bool searches, enum who who, const struct spawn *spawn,
                 const posix_spawn_file_actions_t *actions, char *const argv[], char *const envp[])
{
    struct spawn_files files;
    spawn_files_begin(&files, actions, spawn->attributes);
    struct run run = {
        .op = op,
        .dirfd = AT_FDCWD,
        .path = path,
        .searches = searches,
        .spawns = true,
        .once = files.exclusive,
        .files = &files,
        .call = spawn,
        .argv = argv,
        .envp = envp,
    };
    int error = run_program(&run, attempt_spawn);
    pid_t child = error ? 0 : who == BY_PID && spawn->pid ? *spawn->pid : SOMEBODY;
    if (unlikely(stage_known_count) && child > 0)
        stage_note_child(child);
    spawn_files_end(&files, op, child);
    return error;
}

int wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                     char *const argv[], char *const envp[])
{
    return start("posix_spawn", path, false, BY_PID, &(struct spawn){ NEXT(posix_spawn), pid, attributes }, actions, argv, envp);
}

int wrap_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                      char *const argv[], char *const envp[])
{
    return start("posix_spawnp", file, true, BY_PID, &(struct spawn){ NEXT(posix_spawnp), pid, attributes }, actions, argv, envp);
}

#if __GLIBC_PREREQ(2, 39)
int wrap_pidfd_spawn(int *pidfd, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                     char *const argv[], char *const envp[])
{
    return start("pidfd_spawn", path, false, BY_PIDFD, &(struct spawn){ NEXT(pidfd_spawn), pidfd, attributes }, actions, argv,
                 envp);
}

int wrap_pidfd_spawnp(int *pidfd, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                      char *const argv[], char *const envp[])
{
    return start("pidfd_spawnp", file, true, BY_PIDFD, &(struct spawn){ NEXT(pidfd_spawnp), pidfd, attributes }, actions, argv,
                 envp);
}
#endif

/* Each is libc's, and what it has added is looked at. */
#define LOOKS(name, parameters, arguments, learn)                                                                                  \
    int wrap_posix_spawn_file_actions_##name parameters                                                                            \
    {                                                                                                                              \
        int error = NEXT(posix_spawn_file_actions_##name) arguments;                                                               \
        if (!error)                                                                                                                \
            learn arguments;                                                                                                       \
        return error;                                                                                                              \
    }
#define ACTIONS posix_spawn_file_actions_t *list
LOOKS(addopen, (ACTIONS, int fd, const char *path, int flags, mode_t mode), (list, fd, path, flags, mode), spawn_list_learn_open)
LOOKS(adddup2, (ACTIONS, int fd, int new_fd), (list, fd, new_fd), spawn_list_learn_dup2)
LOOKS(addclose, (ACTIONS, int fd), (list, fd), spawn_list_learn_fd)
LOOKS(addchdir_np, (ACTIONS, const char *path), (list, path), spawn_list_learn_directory)
LOOKS(addfchdir_np, (ACTIONS, int fd), (list, fd), spawn_list_learn_fd)
#if __GLIBC_PREREQ(2, 34)
LOOKS(addclosefrom_np, (ACTIONS, int from), (list, from), spawn_list_learn_fd)
#endif

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
