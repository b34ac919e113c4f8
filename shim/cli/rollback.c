/*
 * `etxtbsy rollback`: puts a generation back, by the same rename that a redirect ends with. The file that was there becomes the
 * newest generation, so that this can be taken back in the same way.
 */
#include <errno.h>
#include <json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sys/text.h"
#include "cli.h"
#include "options.h"
#include "generations.h"

/* What the present file becomes is never pruned here: there are as many generations afterwards as before. */
#define NO_LIMIT UINT64_MAX

struct rollback {
    struct generations generations;
    const struct generation *chosen;
    struct stage_generation kept; /* what the present file becomes */
};

static int refuse(const struct rollback *rollback, const char *why)
{
    cli_trouble_at(rollback->generations.path, why);
    return CLI_PROBLEMS;
}

static int choose(struct rollback *rollback, size_t n)
{
    const struct generations *generations = &rollback->generations;
    if (!generations->count)
        return refuse(rollback, "there is no generation to put back");
    if (n > generations->count) {
        char why[80];
        snprintf(why, sizeof why, "the oldest generation is %zu: there is no %zu", generations->count, n);
        return refuse(rollback, why);
    }
    rollback->chosen = &generations->list[n - 1];
    return CLI_FINE;
}

/*
 * In a directory where others may make names, somebody may have put a file of his own there under such a name, to see it become
 * a program of ours.
 */
static bool is_trustworthy(const struct rollback *rollback)
{
    uid_t owner = rollback->chosen->file.stx_uid;
    return owner == 0 || owner == geteuid() || (!rollback->generations.missing && owner == rollback->generations.file.stx_uid);
}

static int examine(const struct rollback *rollback)
{
    const struct generations *generations = &rollback->generations;
    const struct statx *file = &generations->file;
    if (!is_trustworthy(rollback))
        return refuse(rollback, "that generation belongs to somebody else; to have it nevertheless, rename it yourself");
    if (!generations->missing && file->stx_nlink > 1 &&
        file->stx_nlink > 1 + generation_links(generations->dirfd, generations->base, file))
        return refuse(rollback, "it has other names (hard links), which would keep the present content");
    if (faccessat(generations->dirfd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
        const char *why = strerror(errno);
        char *directory = generations_path(generations, "");
        cli_trouble_at(directory, why);
        free(directory);
        return CLI_TROUBLE;
    }
    return CLI_FINE;
}

/* Returns whether the name leads to the generation now. */
static bool put_back(struct rollback *rollback)
{
    const struct generations *generations = &rollback->generations;
    const unsigned noreplace = 1; /* RENAME_NOREPLACE */
    if (generations->missing)
        return sys_call(SYS_renameat2, generations->dirfd, rollback->chosen->name, generations->dirfd, generations->base,
                        noreplace) == 0;
    generation_keep(&rollback->kept, generations->dirfd, generations->path, generations->base, &generations->file);
    if (rollback->kept.reason)
        return false;
    bool done = sys_renameat(generations->dirfd, rollback->chosen->name, generations->dirfd, generations->base) == 0;
    generation_end(&rollback->kept, generations->dirfd, generations->base, done);
    return done;
}

static int carry_out(struct rollback *rollback)
{
    if (!put_back(rollback)) {
        if (rollback->kept.reason)
            return cli_trouble_at(rollback->generations.path,
                                  "the present file can't be kept as a generation, so nothing was changed");
        return cli_trouble_at(rollback->generations.path, strerror(errno));
    }
    if (fsync(rollback->generations.dirfd) < 0 && errno != EINVAL && errno != EROFS)
        return cli_trouble_at(rollback->generations.path, "it is put back, but a power failure may undo that");
    return CLI_FINE;
}

static void print_text(const struct rollback *rollback, bool dry_run)
{
    cli_print_escaped(stdout, rollback->generations.path, strlen(rollback->generations.path));
    printf(dry_run ? ": would put back " : ": put back ");
    cli_print_escaped(stdout, rollback->chosen->name, strlen(rollback->chosen->name));
    if (rollback->generations.missing) {
        puts("");
    } else if (dry_run) {
        puts("; the present file would become generation 1");
    } else {
        printf("; the file that was there is generation 1 now, ");
        const char *kept = text_base(rollback->kept.path);
        cli_print_escaped(stdout, kept, strlen(kept));
        putchar('\n');
    }
}

static void print_json(const struct rollback *rollback, bool dry_run)
{
    struct json_object *object = json_object_new_object();
    char *put = generations_path(&rollback->generations, rollback->chosen->name);
    cli_add_bytes(object, "path", rollback->generations.path);
    cli_add_bytes(object, "put_back", put);
    if (rollback->kept.path[0])
        cli_add_bytes(object, "kept", rollback->kept.path);
    json_object_object_add(object, "dry_run", json_object_new_boolean(dry_run));
    cli_print_json(object);
    free(put);
}

static int usage(void)
{
    fputs("usage: etxtbsy rollback [--dry-run] [--json] PATH [N]\n"
          "\n"
          "Puts generation N of PATH back, as `etxtbsy generations PATH` numbers them; without N the newest, 1. Symbolic links\n"
          "are followed. PATH may run: it gets the other file in one step (rename), and who runs the present one goes on\n"
          "with it until he is restarted. The present file becomes generation 1, so the same command takes the rollback\n"
          "back. Nothing is pruned.\n"
          "\n"
          "    -n, --dry-run    only say what would be done\n"
          "    -j, --json       one JSON object instead of a sentence\n"
          "    -h, --help       this text\n"
          "\n"
          "Exit status: 0 done, 1 refused (no such generation, hard links, somebody else's file), 2 usage error or it failed.\n"
          "After 1 and 2 PATH is what it was, unless the message says otherwise.\n",
          stdout);
    return CLI_FINE;
}

int rollback_main(int argc, char **argv)
{
    bool as_json = false, dry_run = false;
    const struct option_row options[] = {
        { 'n', "dry-run", .given = &dry_run },
        { 'j', "json", .given = &as_json },
        { 0 },
    };
    int status;
    if (!options_take(argc, argv, OPTIONS_ANYWHERE, options, usage, &status))
        return status;
    if (argc - optind != 1 && argc - optind != 2)
        return cli_trouble("rollback takes PATH and perhaps N, not %d arguments", argc - optind);
    const char *number = argv[optind + 1];
    uint64_t n = 1;
    if (number && (!text_to_number(number, strlen(number), &n) || !n))
        return cli_trouble_at(number, "N is a number from 1, as `etxtbsy generations PATH` shows it");

    struct rollback rollback = { .kept.wanted = NO_LIMIT };
    status = generations_find(&rollback.generations, argv[optind]);
    if (status == CLI_FINE && (status = choose(&rollback, n)) == CLI_FINE && (status = examine(&rollback)) == CLI_FINE) {
        if (!dry_run)
            status = carry_out(&rollback);
        if (status == CLI_FINE)
            (as_json ? print_json : print_text)(&rollback, dry_run);
    }
    generations_free(&rollback.generations);
    return status;
}
