/*
 * `etxtbsy who`: who executes, writes or maps a file now, as fuser would say it for this errno, and what to do about each.
 */
#include <errno.h>
#include <json.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../event/stamp.h"
#include "census.h"
#include "cli.h"
#include "options.h"

static int usage(void)
{
    fputs("usage: etxtbsy who [--json] PATH...\n"
          "\n"
          "Says for each PATH which processes execute it, have it open for writing, or have a shared mapping of it that may be\n"
          "written, and which still run a version of it that has been replaced. Below, what can be done about it. Symbolic links "
          "are\n"
          "followed. Only root sees what other users' processes hold; how many could not be looked at is said.\n"
          "\n"
          "    -j, --json           an array with one object for each PATH\n"
          "    -h, --help           this text\n"
          "\n"
          "Exit status: 0 nobody holds any of them, 1 somebody does, 2 usage error or a PATH that can't be looked at.\n",
          stdout);
    return CLI_FINE;
}

/* What a process may be doing with the file, and what that means for others. */
static const struct kind {
    const char *word, *advice;
} kinds[] = {
    { "runs", "Who opens it for writing gets ETXTBSY. Make a new file beside it and rename that over it\n"
              "  (install, mv), or write to it under `etxtbsy run`, which does so. Those who run it go on with the old\n"
              "  version until they are restarted." },
    { "old version", "The file has been replaced since they were started. Nothing is busy because of them; restart them\n"
                     "  when it suits." },
    { "writes", "Who starts it gets ETXTBSY until it is closed; under `etxtbsy run` the start waits. Who has long\n"
                "  finished writing has a descriptor too many: open it with O_CLOEXEC, and close it before the start." },
    { "maps", "Who starts it gets ETXTBSY until the mapping is gone, also when no descriptor is open any more." },
};

static const struct kind *kind_of(const struct census_holder *entry)
{
    switch (entry->holder.how) {
    case HOLDS_WRITE:
        return &kinds[2];
    case HOLDS_MAP:
        return &kinds[3];
    default:
        return &kinds[entry->is_old];
    }
}

static void print_text(const char *text, int width)
{
    int columns = cli_print_escaped(stdout, text, strlen(text));
    printf("%*s", columns < width ? width - columns : 0, "");
}

static void print_user(uid_t uid, int width)
{
    const struct passwd *user = getpwuid(uid);
    char number[24];
    snprintf(number, sizeof number, "%u", (unsigned)uid);
    print_text(user ? user->pw_name : number, width);
}

static void print_row(const struct census_holder *entry)
{
    const struct holder *holder = &entry->holder;
    char how[32], stamp[STAMP_SIZE];
    if (holder->how == HOLDS_WRITE)
        snprintf(how, sizeof how, "writes, fd %d", holder->fd);
    else
        snprintf(how, sizeof how, "%s", kind_of(entry)->word);
    printf("  %8d  ", holder->pid);
    print_user(holder->uid, 10);
    printf("  %-14s  %s  ", how, stamp_text(stamp, holder->started_ns));
    print_text(holder->comm, 15);
    printf("  ");
    print_text(entry->unit[0] ? entry->unit : "-", 0);
    putchar('\n');
}

/* "systemctl restart a.service b.service": the units of those that run it, each once. */
static void print_restart(const struct census *census, const struct kind *kind)
{
    bool begun = false;
    for (size_t i = 0; i < census->count; i++) {
        const struct census_holder *entry = &census->holders[i];
        const char *ending = strrchr(entry->unit, '.');
        bool again = false;
        for (size_t j = 0; j < i && !again; j++)
            again = kind_of(&census->holders[j]) == kind && !strcmp(census->holders[j].unit, entry->unit);
        if (kind_of(entry) != kind || again || !ending || strcmp(ending, ".service") != 0)
            continue;
        fputs(begun ? " " : "  systemctl restart ", stdout);
        print_text(entry->unit, 0);
        begun = true;
    }
    if (begun)
        putchar('\n');
}

static void print_table(const struct census *census)
{
    const char *bold = cli_colours() ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";
    fputs(bold, stdout);
    print_text(census->target, 0);
    printf("%s: %s\n", plain, census->count ? "held" : "nobody holds it");
    if (census->count)
        printf("  %8s  %-10s  %-14s  %-24s  %-15s  %s\n", "PID", "USER", "HOW", "STARTED", "NAME", "UNIT");
    for (size_t i = 0; i < census->count; i++)
        print_row(&census->holders[i]);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        size_t count = 0;
        for (size_t i = 0; i < census->count; i++)
            count += kind_of(&census->holders[i]) == &kinds[k];
        if (!count)
            continue;
        printf("\n  %s: %zu. %s\n", kinds[k].word, count, kinds[k].advice);
        if (k < 2)
            print_restart(census, &kinds[k]);
    }
    if (census->hidden)
        printf("\n  not looked at: %u, of others%s\n", census->hidden, geteuid() ? "; ask as root" : "");
}

static struct json_object *as_object(const struct census *census, const char *path)
{
    struct json_object *object = json_object_new_object(), *holders = json_object_new_array();
    cli_add_bytes(object, "path", path);
    cli_add_bytes(object, "target", census->target);
    for (size_t i = 0; i < census->count; i++)
        json_object_array_add(holders, census_object(&census->holders[i]));
    json_object_object_add(object, "holders", holders);
    json_object_object_add(object, "holders_hidden", json_object_new_int64(census->hidden));
    return object;
}

int who_main(int argc, char **argv)
{
    bool as_json = false;
    const struct option_row options[] = {
        { 'j', "json", .given = &as_json },
        { 0 },
    };
    int printed = 0, status = CLI_FINE;
    if (!options_take(argc, argv, OPTIONS_ANYWHERE, options, usage, &status))
        return status;
    if (optind == argc)
        return cli_trouble("who takes at least one PATH");

    struct json_object *all = json_object_new_array();
    for (int i = optind; i < argc; i++) {
        struct census census;
        if (!census_take(&census, argv[i])) {
            status = cli_trouble_at(argv[i], strerror(errno));
            continue;
        }
        if (census.count && status == CLI_FINE)
            status = CLI_PROBLEMS;
        if (as_json) {
            json_object_array_add(all, as_object(&census, argv[i]));
        } else {
            if (printed++)
                putchar('\n');
            print_table(&census);
        }
        census_free(&census);
    }
    if (as_json)
        puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(all);
    return status;
}
