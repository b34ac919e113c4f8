/*
 * The recipes of README.md: the text that stands there is followed, in a copy of this machine of its own (recipes/machine.sh), and
 * must do what it says. Then it is spoilt, in each of the ways that recipes/NAME.sh lists, and must fail: so no recipe passes by
 * chance, nor without its every part.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

#include <criterion/parameterized.h>

#define README SOURCE_DIR "/README.md"
#define SCENES SOURCE_DIR "/tests/recipes"
#define INDENT "    "

#define RECIPES_MAX 50
#define BLOCKS_MAX 3

/* What machine.sh ends with. */
#define NO_SUCH_WAY 2
#define NO_MACHINE 77

struct recipe {
    char name[64]; /* of its scene: the heading in small letters, all else a hyphen */
    char *blocks[BLOCKS_MAX];
    int count;
};

static void take_name(char *name, size_t size, const char *heading)
{
    size_t length = 0;
    for (; *heading && length + 1 < size; heading++)
        if (isalnum((unsigned char)*heading))
            name[length++] = (char)tolower((unsigned char)*heading);
        else if (length && name[length - 1] != '-')
            name[length++] = '-';
    while (length && name[length - 1] == '-')
        length--;
    name[length] = '\0';
}

static void add_line(struct recipe *recipe, const char *line)
{
    char **block = &recipe->blocks[recipe->count - 1], *longer;
    cr_assert_geq(asprintf(&longer, "%s%s\n", *block ? *block : "", line), 0);
    free(*block);
    *block = longer;
}

/*
 * All recipes, in their order. A block is what is indented, up to the next line that isn't; an empty line belongs to it when more
 * of it follows. Returns their number.
 */
static int read_recipes(struct recipe recipes[RECIPES_MAX])
{
    char *text = read_file(README, NULL), *at = text;
    bool within = false, in_block = false;
    int count = 0, empty = 0;
    for (char *line; (line = strsep(&at, "\n"));) {
        struct recipe *recipe = count ? &recipes[count - 1] : NULL;
        if (!strncmp(line, "## ", 3))
            within = !strcmp(line, "## Recipes");
        if (!within)
            continue;
        if (!strncmp(line, "### ", 4)) {
            cr_assert_lt(count, RECIPES_MAX);
            recipe = &recipes[count++];
            *recipe = (struct recipe){ .count = 0 };
            take_name(recipe->name, sizeof recipe->name, line + 4);
            in_block = false;
        } else if (recipe && !strncmp(line, INDENT, strlen(INDENT))) {
            if (!in_block)
                cr_assert_leq(++recipe->count, BLOCKS_MAX, "%s", recipe->name);
            for (; in_block && empty; empty--)
                add_line(recipe, "");
            add_line(recipe, line + strlen(INDENT));
            in_block = true;
        } else if (*line) {
            in_block = false;
        }
        empty = *line ? 0 : empty + 1;
    }
    free(text);
    return count;
}

static char *scene_path(const char *name)
{
    char *path;
    cr_assert_geq(asprintf(&path, SCENES "/%s.sh", name), 0);
    return path;
}

/* What stands behind "# needs:" in its scene; to be freed. */
static char *needs_of(const char *name)
{
    char *path = scene_path(name), *text = read_file(path, NULL), *needs = strstr(text, "# needs: ");
    needs = needs ? strndup(needs + strlen("# needs: "), strcspn(needs, "\n") - strlen("# needs: ")) : strdup("");
    free(text);
    free(path);
    return needs;
}

Test(recipes, each_has_a_scene_and_each_scene_a_recipe)
{
    struct recipe recipes[RECIPES_MAX];
    int count = read_recipes(recipes), scenes = 0;
    for (int i = 0; i < count; i++) {
        char *path = scene_path(recipes[i].name);
        cr_expect_eq(access(path, R_OK), 0, "there is no %s", path);
        cr_expect_gt(recipes[i].count, 0, "%s: there is nothing to follow", recipes[i].name);
        free(path);
    }
    DIR *directory = opendir(SCENES);
    for (struct dirent *entry; (entry = readdir(directory));)
        scenes += strcmp(entry->d_name, "machine.sh") && strcmp(entry->d_name, "scene.sh") && strstr(entry->d_name, ".sh");
    closedir(directory);
    cr_expect_eq(scenes, count, "%d scenes for %d recipes", scenes, count);
}

/* Mounts and processes are those of the namespaces that `unshare` makes, and go with it. */
static int follow(const struct place *place, const struct recipe *recipe, int spoil)
{
    char root[PATH_MAX / 2], texts[PATH_MAX / 2], path[PATH_MAX], number[16] = "";
    snprintf(root, sizeof root, "%s/root", place->root);
    snprintf(texts, sizeof texts, "%s/texts", place->root);
    mkdir(root, 0755);
    mkdir(texts, 0755);
    for (int i = 0; i < recipe->count; i++) {
        snprintf(path, sizeof path, "%s/%d", texts, i + 1);
        write_file(path, recipe->blocks[i], 0644);
    }
    if (spoil)
        snprintf(number, sizeof number, "%d", spoil);
    const char *const argv[] = { "unshare",    "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", SCENES "/machine.sh", root,
                                 recipe->name, number,    texts,   NULL };
    return status_code(run_program_with(place, WITHOUT_SHIM, NULL, argv));
}

/* What a scene leaves out. */
static void say_skipped(const struct place *place, const struct recipe *recipe)
{
    char *rest = read_file(place->err, NULL);
    for (char *line; (line = strsep(&rest, "\n"));)
        if (!strncmp(line, "skipped: ", 9))
            fprintf(stderr, "skipped: the recipe %s: %s\n", recipe->name, line + 9);
}

ParameterizedTestParameters(recipes, do_what_they_say)
{
    static int numbers[RECIPES_MAX];
    struct recipe recipes[RECIPES_MAX];
    int count = read_recipes(recipes);
    for (int i = 0; i < count; i++)
        numbers[i] = i;
    return cr_make_param_array(int, numbers, (size_t)count);
}

ParameterizedTest(int *number, recipes, do_what_they_say, .timeout = 120)
{
    struct recipe recipes[RECIPES_MAX], *recipe = &recipes[*number];
    struct place place;
    char missing[100];
    int status, ways = 0;
    read_recipes(recipes);
    char *needs = needs_of(recipe->name);
    if (system("unshare --mount --pid --fork true 2>/dev/null") != 0) {
        fprintf(stderr, "skipped: the recipe %s (a machine of its own takes unshare, and the right to it)\n", recipe->name);
        cr_skip_test("no machine");
    }
    if (!have_programs(needs, missing)) {
        fprintf(stderr, "skipped: the recipe %s (there is no %s here)\n", recipe->name, missing);
        cr_skip_test("no %s", missing);
    }
    place_make(&place);
    status = follow(&place, recipe, 0);
    if (status == NO_MACHINE) {
        fprintf(stderr, "skipped: the recipe %s (%s)\n", recipe->name, read_file(place.err, NULL));
    } else {
        say_skipped(&place, recipe);
        cr_expect_eq(status, 0, "%s: status %d: %s%s", recipe->name, status, read_file(place.out, NULL),
                     read_file(place.err, NULL));
        while ((status = follow(&place, recipe, ++ways)) != NO_SUCH_WAY && ways < 10)
            cr_expect_neq(status, 0, "%s does what it says without its part %d, too: %s", recipe->name, ways,
                          read_file(place.out, NULL));
        cr_expect_gt(ways, 1, "%s: nothing was left out of it", recipe->name);
    }
    place_remove(&place);
}
