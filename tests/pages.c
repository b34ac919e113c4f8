/*
 * What people read: the files that README.md and shim/README.md name are there, and so is the page that the demo ends with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

static bool is_there(const char *directory, const char *name, size_t length)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%.*s", directory, (int)length, name);
    return access(path, F_OK) == 0;
}

/* Links to what isn't on the net, and, in `code`, what looks like a file of ours. Returns their number. */
static int check_names(const char *page, const char *base)
{
    char path[PATH_MAX];
    int count = 0;
    snprintf(path, sizeof path, SOURCE_DIR "/%s", page);
    char *text = read_file(path, NULL);
    cr_assert_gt(strlen(text), 500, "%s", path);
    for (const char *at = text; (at = strstr(at, "](")); count++) {
        size_t length = strcspn(at += 2, ")");
        if (*at != '#' && strncmp(at, "http", 4) != 0)
            cr_expect(is_there(SOURCE_DIR, at, length), "%s: there is no %.*s", page, (int)length, at);
    }
    for (char *rest = text, *code; (code = strchr(rest, '`')) && *rest; rest = code + strlen(code) + 1) {
        code[1 + strcspn(code + 1, "`")] = '\0';
        const char *end = strrchr(++code, '.');
        if (!end || !strchr(code, '/') || strpbrk(code, " *$") ||
            (strcmp(end, ".c") && strcmp(end, ".h") && strcmp(end, ".def") && strcmp(end, ".json")) || *code == '/')
            continue;
        count++;
        cr_expect(is_there(SOURCE_DIR, code, strlen(code)) || is_there(base, code, strlen(code)), "%s: there is no %s", page, code);
    }
    free(text);
    return count;
}

Test(pages, name_files_that_are_there)
{
    cr_expect_gt(check_names("README.md", SOURCE_DIR), 8);
    cr_expect_gt(check_names("shim/README.md", SOURCE_DIR "/shim"), 25);
    cr_expect_geq(check_names("scripts/CHANGELOG.md", SOURCE_DIR), 0);
}

/* The changes are those of this version. */
Test(pages, the_changes_are_up_to_date)
{
    char command[] =
        "v=$(" BUILD_DIR "/etxtbsy --version | cut -d' ' -f2) && grep -q \"^## $v, \" " SOURCE_DIR "/scripts/CHANGELOG.md && "
        "grep -q \"^libetxtbsy ($v-\" " SOURCE_DIR "/scripts/debian/changelog";
    cr_expect_eq(system(command), 0);
}

Test(pages, the_readme_has_a_picture_of_reasonable_size)
{
    struct stat picture;
    char *bytes = read_file(SOURCE_DIR "/scripts/demo/timeline.png", NULL);
    cr_assert_eq(stat(SOURCE_DIR "/scripts/demo/timeline.png", &picture), 0);
    cr_expect_lt(picture.st_size, 150000);
    cr_expect_eq(memcmp(bytes, "\x89PNG\r\n", 6), 0);
    cr_expect_not_null(strstr(read_file(SOURCE_DIR "/README.md", NULL), "](scripts/demo/timeline.png)"));
}

Test(pages, the_demo_ends_with_a_picture, .timeout = 120)
{
    struct place place;
    if (strcmp(BUILD_DIR, SOURCE_DIR "/build") != 0) {
        fprintf(stderr, "skipped: the demo (it is of what `make` builds)\n");
        return;
    }
    place_make(&place);
    unlink(BUILD_DIR "/demo.html");
    int status = status_code(run_shell(&place, WITHOUT_SHIM, "TMPDIR=.", SOURCE_DIR "/scripts/demo.sh"));
    char *page = read_file(BUILD_DIR "/demo.html", NULL), *out = read_file(place.out, NULL);
    cr_expect_eq(status, 0, "%s%s", out, read_file(place.err, NULL));
    cr_expect_not_null(strstr(out, "build/demo.html"));
    static const char *const parts[] = {
        "<svg",   "rect class=persistent", "rect class=refused", "rect class=replaced", "rect class=transient", "/bin/service",
        "gave up"
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect_not_null(strstr(page, parts[i]), "no \"%s\" in the page", parts[i]);
    cr_expect_eq(litter_count(&place), 0);
    place_remove(&place);
}
