/*
 * The project as people get it: installed and taken away, its manual pages and completions, its tarball and packages.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shim/policy/keys.h"
#include "harness.h"

static char directory[64], out[128];

/* A directory $D with a copy of what was built in it, which `make` may change. */
static void make_directory(void)
{
    strcpy(directory, "/tmp/etxtbsy-install-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(out, sizeof out, "%s.out", directory);
    chmod(directory, 0755);
    setenv("D", directory, 1);
    setenv("SOURCE", SOURCE_DIR, 1);
    setenv("BUILT", BUILD_DIR, 1);
    unsetenv("MAKEFLAGS");
    unsetenv("MAKELEVEL");
    cr_assert_eq(chdir(SOURCE_DIR), 0);
}

static void remove_directory(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s %s", directory, out);
    cr_assert_eq(system(command), 0);
}

/* Runs a command by /bin/sh in the source directory; returns its exit status. Its output is what said() returns. */
static int sh(const char *format, ...)
{
    char command[4096], line[4300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    snprintf(line, sizeof line, "exec >%s 2>&1 </dev/null\n%s", out, command);
    return status_code(system(line));
}

/* Lives as long as the test's process. */
static const char *said(void)
{
    return read_file(out, NULL);
}

#define SUCCEEDS(...) cr_assert_eq(sh(__VA_ARGS__), 0, "%s", said())
#define FAILS(...) cr_assert_neq(sh(__VA_ARGS__), 0, "%s", said())
#define EXPECT_SAID(part) cr_expect_not_null(strstr(said(), part), "no \"%s\" in: %s", part, said())

static void need(const char *programs)
{
    char missing[100];
    if (!have_programs(programs, missing)) {
        fprintf(stderr, "skipped: there is no %s here\n", missing);
        cr_skip_test("no %s", missing);
    }
}

#define COPY_BUILT                                                                                                                 \
    "mkdir $D/build && cp -a $BUILT/obj $BUILT/library $BUILT/libetxtbsy.so $BUILT/etxtbsy $BUILT/exports.map "                    \
    "$BUILT/installed-library "                                                                                                    \
    "$D/build; "
#define MAKE "make --no-print-directory BUILD=$D/build DESTDIR=$D/root "
#define NAMES "(cd $D/root && find . -printf '%%M %%p %%l\\n' | sort)"

TestSuite(install, .init = make_directory, .fini = remove_directory);
TestSuite(manual, .init = make_directory, .fini = remove_directory);
TestSuite(completion, .init = make_directory, .fini = remove_directory);
TestSuite(packages, .init = make_directory, .fini = remove_directory);

Test(install, puts_every_file_in_its_place)
{
    SUCCEEDS(COPY_BUILT MAKE "install PREFIX=/usr LIBDIR=/usr/lib/here");
    SUCCEEDS(NAMES);
    static const char *const files[] = {
        "-rwxr-xr-x ./usr/bin/etxtbsy ",
        "-rw-r--r-- ./usr/share/man/man1/etxtbsy.1 ",
        "-rw-r--r-- ./usr/share/man/man5/etxtbsy.conf.5 ",
        "-rw-r--r-- ./usr/share/man/man7/libetxtbsy.7 ",
        "-rw-r--r-- ./usr/share/bash-completion/completions/etxtbsy ",
        "-rw-r--r-- ./usr/share/zsh/site-functions/_etxtbsy ",
        "-rw-r--r-- ./usr/share/doc/libetxtbsy/etxtbsy.conf.example ",
        "-rw-r--r-- ./usr/share/doc/libetxtbsy/event.schema.json ",
        "-rw-r--r-- ./usr/lib/tmpfiles.d/etxtbsy.conf ",
        "-rw-r--r-- ./etc/logrotate.d/etxtbsy ",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        EXPECT_SAID(files[i]);
    SUCCEEDS("version=$($BUILT/etxtbsy --version | sed 's/^etxtbsy \\([^ ]*\\) .*/\\1/') && cd $D/root/usr/lib/here && "
             "[ \"$(readlink libetxtbsy.so)\" = libetxtbsy.so.$version ] && cmp libetxtbsy.so.$version $BUILT/libetxtbsy.so");
    SUCCEEDS("grep -F 'LD_PRELOAD=/usr/lib/here/libetxtbsy.so\"' $D/root/usr/share/doc/libetxtbsy/systemd-drop-in.conf");
}

Test(install, the_library_directory_is_the_compilers)
{
    SUCCEEDS(COPY_BUILT MAKE "install PREFIX=/usr/local");
    /* Where ld.so looks for $LIB: it says what it can't find. */
    SUCCEEDS("LD_PRELOAD=\"$D/root/usr/local/\\$LIB/libetxtbsy.so\" /bin/true");
    cr_expect_str_empty(said(), "%s", said());
    SUCCEEDS("grep -F 'LD_PRELOAD=/usr/local/$LIB/libetxtbsy.so\"' $D/root/usr/local/share/doc/libetxtbsy/systemd-drop-in.conf");
}

Test(install, uninstall_leaves_what_was_there)
{
    SUCCEEDS("mkdir -p $D/root/usr/bin $D/root/usr/share/man/man1 && echo mine >$D/root/usr/bin/other");
    SUCCEEDS(NAMES " >$D/before");
    SUCCEEDS(COPY_BUILT MAKE "install PREFIX=/usr && " MAKE
                             "install PREFIX=/usr && echo theirs >$D/root/usr/share/man/man1/other.1");
    SUCCEEDS(MAKE "uninstall PREFIX=/usr && rm $D/root/usr/share/man/man1/other.1");
    SUCCEEDS(NAMES " | diff $D/before -");
    FAILS(MAKE "uninstall PREFIX=/usr");
    EXPECT_SAID("nothing is installed");
}

Test(install, into_nothing_and_back_to_nothing)
{
    SUCCEEDS(COPY_BUILT MAKE "install PREFIX=/opt/e && " MAKE "uninstall PREFIX=/opt/e && find $D/root/");
    cr_expect_eq(strlen(said()), strlen(directory) + strlen("/root/\n"), "left: %s", said());
}

Test(install, an_edited_configuration_stays)
{
    SUCCEEDS(COPY_BUILT MAKE "install PREFIX=/usr && echo '# mine' >>$D/root/etc/logrotate.d/etxtbsy");
    SUCCEEDS(MAKE "install PREFIX=/usr");
    EXPECT_SAID("stays as it is");
    SUCCEEDS(MAKE "uninstall PREFIX=/usr && tail -n 1 $D/root/etc/logrotate.d/etxtbsy");
    EXPECT_SAID("# mine");
    SUCCEEDS("find $D/root -type f");
    cr_expect_null(strchr(strchr(said(), '\n') + 1, '\n'), "left: %s", said());
}

Test(install, refuses_places_that_cannot_work)
{
    SUCCEEDS(COPY_BUILT);
    FAILS(MAKE "install PREFIX=here");
    EXPECT_SAID("absolute");
    FAILS(MAKE "install PREFIX=/opt/a:b");
    EXPECT_SAID("blank or a colon");
    SUCCEEDS("[ ! -e $D/root ]");
}

Test(install, only_the_library_where_there_is_no_command)
{
    SUCCEEDS("mkdir $D/build && cp -a $BUILT/libetxtbsy.so $BUILT/obj $BUILT/exports.map $D/build && " MAKE
             "install-library PREFIX=/usr && "
             "find $D/root ! -type d");
    EXPECT_SAID("/libetxtbsy.so.");
    cr_expect_null(strstr(said(), "/bin/"), "%s", said());
    SUCCEEDS(MAKE "uninstall PREFIX=/usr && [ ! -e $D/root/usr ]");
}

/* Programs start all the time while the library that they are told to load is replaced. */
Test(install, an_upgrade_is_atomic)
{
    SUCCEEDS(COPY_BUILT MAKE "install-library PREFIX=/usr LIBDIR=/usr/lib");
    /* Not written in place: who has the old one keeps it. */
    SUCCEEDS("exec 9<$D/root/usr/lib/libetxtbsy.so && " MAKE
             "install-library PREFIX=/usr LIBDIR=/usr/lib && readlink /proc/$$/fd/9");
    EXPECT_SAID("(deleted)");
    SUCCEEDS("touch $D/go; (n=0; while [ -e $D/go ]; do LD_PRELOAD=$D/root/usr/lib/libetxtbsy.so /bin/true; n=$((n + 1)); done; "
             "echo $n >$D/starts) "
             "2>$D/noise & "
             "for i in 1 2 3 4 5 6 7 8; do " MAKE "install-library PREFIX=/usr LIBDIR=/usr/lib || exit 1; done; rm $D/go; wait");
    SUCCEEDS("cat $D/noise; [ ! -s $D/noise ] && [ $(cat $D/starts) -gt 20 ]");
    SUCCEEDS("[ $(find $D/root -type f -name '*libetxtbsy*' | wc -l) = 1 ] && [ $(find $D/root -name '.*' | wc -l) = 0 ]");
}

Test(install, works_in_a_home_without_root)
{
    struct place place;
    place_make(&place);
    setenv("TARGET", place.target, 1);
    setenv("NEW", place.new, 1);
    setenv("TOP", place.root, 1);
    const char *nobody =
        geteuid() == 0 ? "setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=$D/home " : "env HOME=$D/home ";
    if (geteuid() == 0)
        need("setpriv");
    SUCCEEDS(COPY_BUILT "mkdir $D/home; [ $(id -u) != 0 ] || chown -R 65534:65534 $D $TOP");
    if (sh("%s test -r $SOURCE/Makefile -a -x $SOURCE/scripts/install.sh -a -w /dev/null", nobody) != 0) {
        fprintf(stderr, "skipped: not everybody may read the sources and write to /dev/null here\n");
        place_remove(&place);
        cr_skip_test("sources");
    }
    SUCCEEDS("%s make --no-print-directory BUILD=$D/build PREFIX=$D/home/.local install", nobody);
    SUCCEEDS("mkdir -p $D/home/.config/systemd/user && touch $D/home/.config/systemd/user/mine.service && "
             "%s env -u XDG_CONFIG_HOME $D/home/.local/bin/etxtbsy enable --user --dry-run mine",
             nobody);
    char line[256];
    snprintf(line, sizeof line, "Environment=\"LD_PRELOAD=%s/home/.local/$LIB/libetxtbsy.so\"", directory);
    EXPECT_SAID(line);
    /* It does what it is for, from there. */
    run_busy(place.target);
    FAILS("%s cp $NEW $TARGET", nobody);
    SUCCEEDS(
        "%s env LD_PRELOAD=\"$D/home/.local/\\$LIB/libetxtbsy.so\" ETXTBSY_LOG=$TOP/log cp $NEW $TARGET && cmp $NEW $TARGET && "
        "grep -q '\"outcome\":\"replaced\"' $TOP/log",
        nobody);
    SUCCEEDS("%s make --no-print-directory BUILD=$D/build PREFIX=$D/home/.local uninstall && [ ! -e $D/home/.local ]", nobody);
    place_remove(&place);
}

/* Of a library for programs of the other word size, too: with $LIB each finds its own, and none complains. */
Test(install, programs_of_both_word_sizes_make_no_noise)
{
    write_file(out, "", 0600);
    if (sizeof(void *) < 8)
        cr_skip_test("this is the smaller of the two");
    if (sh("printf 'int main(void){return 0;}' >$D/small.c && gcc -m32 $D/small.c -o $D/small32 && $D/small32") != 0) {
        fprintf(stderr, "skipped: there is no 32-bit compiler here\n");
        cr_skip_test("gcc -m32");
    }
    SUCCEEDS(COPY_BUILT "gcc $D/small.c -o $D/small64 && make --no-print-directory BUILD=$D/build PREFIX=$D/p install");
    SUCCEEDS("LD_PRELOAD=\"$D/p/\\$LIB/libetxtbsy.so\" $D/small64");
    cr_expect_str_empty(said());
    SUCCEEDS("LD_PRELOAD=\"$D/p/\\$LIB/libetxtbsy.so\" $D/small32");
    EXPECT_SAID("ignored");
    /* Debian's 32-bit C library comes in two packages, whose ld.so take $LIB for different directories. */
    SUCCEEDS("[ -e /lib32/ld-linux.so.2 ] && places=LIBDIR=$D/p/lib32; make -j2 --no-print-directory $places CC='gcc -m32' "
             "CFLAGS=\"-O2 -idirafter /usr/include/$(gcc -print-multiarch)\" "
             "BUILD=$D/build/32 PREFIX=$D/p install-library");
    SUCCEEDS("LD_PRELOAD=\"$D/p/\\$LIB/libetxtbsy.so\" $D/small64 && LD_PRELOAD=\"$D/p/\\$LIB/libetxtbsy.so\" $D/small32");
    cr_expect_str_empty(said());
    SUCCEEDS("make --no-print-directory BUILD=$D/build PREFIX=$D/p uninstall && [ ! -e $D/p ]");
}

Test(install, log_directory_and_rotation)
{
    need("systemd-tmpfiles logrotate");
    SUCCEEDS("systemd-tmpfiles --root=$D --create $SOURCE/scripts/systemd/tmpfiles.conf; [ \"$(stat -c %%a $D/var/log/etxtbsy)\" = "
             "755 ]");
    SUCCEEDS("sed s,/var/log,$D/var/log, $SOURCE/scripts/logrotate/etxtbsy >$D/rotate.conf && chmod 644 $D/rotate.conf && chmod "
             "755 $D/var/log && "
             "cp /bin/true $D/target && echo '#!/bin/sh' >$D/start && chmod 755 $D/start");
    /* A file that is open for writing in the very process that starts it leaves a line at once. */
    for (int i = 1; i <= 3; i++) {
        SUCCEEDS("LD_PRELOAD=$BUILT/libetxtbsy.so ETXTBSY_LOG=$D/var/log/etxtbsy/etxtbsy.json ETXTBSY_EXEC_MAX_WAIT=0 sh -c 'exec "
                 "5<>$D/target; $D/target' "
                 ">/dev/null 2>&1; [ $(wc -l <$D/var/log/etxtbsy/etxtbsy.json) = 1 ]");
        SUCCEEDS("logrotate --force --state $D/state $D/rotate.conf && [ ! -e $D/var/log/etxtbsy/etxtbsy.json ]");
    }
    SUCCEEDS("cd $D/var/log/etxtbsy && ls && [ -e etxtbsy.json.1 ] && [ -e etxtbsy.json.2.gz ] && [ -e etxtbsy.json.3.gz ]");
}

Test(manual, pages_have_no_faults)
{
    need("mandoc man");
    SUCCEEDS("mandoc -T lint -W warning $SOURCE/scripts/man/*");
    SUCCEEDS("for page in $SOURCE/scripts/man/*; do MANWIDTH=100 LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 $page 2>&1 "
             ">/dev/null; done");
    cr_expect_str_empty(said());
    FAILS("printf '.Dd today\\n.Dt X 1\\n.Os\\n.Sh NAME\\n.Nope\\n' | mandoc -T lint -W warning"); /* it does find some */
}

/* Every command and option that --help tells of is in the manual, and in both completions. */
Test(manual, says_every_command_and_option)
{
    SUCCEEDS("for command in $($BUILT/etxtbsy --help | sed -n 's/^    \\([a-z]\\{1,\\}\\) .*/\\1/p'); do "
             "  grep -qxF \".Cm $command\" scripts/man/etxtbsy.1 || echo \"no $command in the manual\"; "
             "  grep -qw $command scripts/completion/etxtbsy.bash || echo \"no $command for bash\"; "
             "  grep -q \"'$command:\" scripts/completion/_etxtbsy || echo \"no $command for zsh\"; "
             "  for option in $($BUILT/etxtbsy $command --help | sed -n 's/^    -[a-zA-Z], --\\([a-z-]*\\).*/\\1/p'); do "
             "    grep -q \", -$option\" scripts/man/etxtbsy.1 || echo \"no $command --$option in the manual\"; "
             "    bash tests/programs/complete.bash scripts/completion/etxtbsy.bash etxtbsy $command -- | grep -qx -- --$option || "
             "echo \"no $command --$option for bash\"; "
             "    grep -q -- ,--$option} scripts/completion/_etxtbsy || echo \"no $command --$option for zsh\"; "
             "  done; done");
    cr_expect_str_empty(said(), "%s", said());
    SUCCEEDS("$BUILT/etxtbsy --help | grep -c '^    [a-z]\\{4,\\} '");
    cr_expect_geq(atoi(said()), 4, "%s", said());
}

Test(manual, says_every_key)
{
    for (int key = 0; key < POLICY_KEYS; key++)
        SUCCEEDS("grep -qx '.It Cm %s' scripts/man/etxtbsy.conf.5", policy_key_name(key));
    for (int operation = 0; operation < POLICY_OPERATIONS; operation++)
        SUCCEEDS("grep -q 'Li \\[%s\\]' scripts/man/etxtbsy.conf.5", policy_operation_name(operation));
    for (size_t action = 0; *policy_keys[KEY_ACTION].choices[action]; action++)
        SUCCEEDS("grep -qx '.It Cm %s' scripts/man/etxtbsy.conf.5", policy_keys[KEY_ACTION].choices[action]);
}

#define BASH "bash --norc tests/programs/complete.bash scripts/completion/etxtbsy.bash etxtbsy "

Test(completion, bash)
{
    need("bash");
    SUCCEEDS("bash -n scripts/completion/etxtbsy.bash");
    static const char *const cases[][2] = {
        { "ch", "check\n" },
        { "st", "status\n" },
        { "check --pa", "--path\n" },
        { "check --op w", "write\n" },
        { "check README", "README.md\n" },
        { "enable --dr", "--dry-run\n" },
        { "disable --a", "--all\n" },
        { "run --write at", "atomic\n" },
        { "run -l x -q -- make README", "README.md\n" },
        { "nonsense --", "\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        SUCCEEDS(BASH "%s", cases[i][0]);
        cr_expect_str_eq(said(), cases[i][1], "%s: %s", cases[i][0], said());
    }
}

Test(completion, zsh)
{
    need("zsh");
    SUCCEEDS("zsh -n scripts/completion/_etxtbsy");
    static const char *const cases[][2] = {
        { "etxtbsy rol", "rollback" },
        { "etxtbsy disable --dr", "--dry-run" },
        { "etxtbsy check --op tr", "truncate" },
        { "etxtbsy status --j", "--json" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        SUCCEEDS("timeout 60 zsh -f tests/programs/complete.zsh $SOURCE/scripts/completion '%s' '%s'", cases[i][0], cases[i][1]);
}

Test(packages, a_tarball_has_the_same_bytes_each_time)
{
    need("git tar gzip");
    if (sh("git rev-parse --git-dir") != 0) {
        fprintf(stderr, "skipped: this isn't a git work tree\n");
        cr_skip_test("no git work tree");
    }
    SUCCEEDS("scripts/dist.sh 9 $D/one && (umask 077; TZ=Asia/Tokyo LC_ALL=C scripts/dist.sh 9 $D/two) && cmp "
             "$D/one/libetxtbsy-9.tar.gz $D/two/libetxtbsy-9.tar.gz");
    /* Another copy of the same files, made by somebody else at another time. */
    SUCCEEDS("mkdir $D/copy && git ls-files -z | xargs -0 cp --parents -t $D/copy && cd $D/copy && git init -q . && git add -A && "
             "SOURCE_DATE_EPOCH=$(git -C $SOURCE log -1 --format=%%ct) scripts/dist.sh 9 $D/three && cmp "
             "$D/one/libetxtbsy-9.tar.gz $D/three/libetxtbsy-9.tar.gz");
    SUCCEEDS("git ls-files | sed 's,^,libetxtbsy-9/,' | LC_ALL=C sort >$D/files && tar tzf $D/one/libetxtbsy-9.tar.gz | LC_ALL=C "
             "sort | diff $D/files -");
    SUCCEEDS("ls -A $D/one");
    cr_expect_str_eq(said(), "libetxtbsy-9.tar.gz\n");
}

Test(packages, debian)
{
    need("dpkg-deb dpkg-shlibdeps git");
    SUCCEEDS("mkdir $D/copy && git ls-files -z | xargs -0 cp --parents -t $D/copy");
    SUCCEEDS("cd $D/copy && version=$($BUILT/etxtbsy --version | sed 's/^etxtbsy \\([^ ]*\\) .*/\\1/') && scripts/deb.sh $version "
             "build");
    SUCCEEDS("for package in $D/copy/build/deb/*.deb; do dpkg-deb -c $package; done");
    static const char *const files[] = {
        "root/root",
        "./usr/bin/etxtbsy",
        "/libetxtbsy.so -> libetxtbsy.so.",
        "./usr/share/man/man1/etxtbsy.1.gz",
        "./etc/logrotate.d/e",
        "man5/etxtbsy.conf.5.gz\n",
        "./usr/share/zsh/vendor-completions/_etxtb",
        "./usr/share/doc/libetxtbsy/etxtbsy.conf.example",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        EXPECT_SAID(files[i]);
    SUCCEEDS("! dpkg-deb -f $D/copy/build/deb/libetxtbsy_*.deb Depends | grep -q json");
    SUCCEEDS("dpkg-deb -f $D/copy/build/deb/etxtbsy_*.deb Depends | grep -q libjson-c");
    need("lintian");
    SUCCEEDS("[ $(id -u) != 0 ] || root=--allow-root; lintian $root --fail-on error $D/copy/build/deb/*.deb");
}

Test(packages, rpm_spec)
{
    need("rpmspec rpmlint");
    SUCCEEDS("rpmspec --parse scripts/rpm/libetxtbsy.spec >/dev/null");
    SUCCEEDS("rpmlint -c scripts/rpm/rpmlint.toml scripts/rpm/libetxtbsy.spec");
    SUCCEEDS("version=$($BUILT/etxtbsy --version | sed 's/^etxtbsy \\([^ ]*\\) .*/\\1/') && grep -q \"etxtbsy_version $version}\" "
             "scripts/rpm/libetxtbsy.spec && "
             "head -n 1 scripts/debian/changelog | grep -qF \"($version-1)\"");
}
