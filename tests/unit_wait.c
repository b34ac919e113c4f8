#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shim/sys/call.h"
#include "../shim/sys/clock.h"
#include "../shim/wait/wait.h"
#include "harness.h"

#define US UINT64_C(1000)

/* ---- a clock that only sleeping moves --------------------------------------------------------------------------------------- */

static uint64_t fake_now, slept, sleeps, sleep_at_most, stolen;
static long failing_call; /* fails with ENOMEM */

static long fake_call(long number, long a0, long b, long c, long d, long e, long f)
{
    const long a[6] = { a0, b, c, d, e, f };
    if (number == SYS_clock_gettime && a[0] == CLOCK_MONOTONIC) {
        struct timespec *now = (struct timespec *)a[1];
        *now = (struct timespec){ (time_t)(fake_now / CLOCK_SECOND), (long)(fake_now % CLOCK_SECOND) };
        return 0;
    }
    if (failing_call && number == failing_call) {
        errno = ENOMEM;
        return -1;
    }
    return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* A signal handler ends a sleep early (`sleep_at_most`); a loaded machine ends it late (`stolen`). */
static void fake_sleep(uint64_t ns)
{
    cr_assert_gt(ns, 0, "a sleep of nothing");
    errno = EINTR;
    sleeps++;
    if (sleep_at_most && ns > sleep_at_most)
        ns = sleep_at_most;
    slept += ns;
    fake_now += ns + stolen;
}

static void set_clock(void)
{
    fake_now = 1000 * CLOCK_SECOND + 123456789;
    sys_entry = fake_call;
    clock_sleep = fake_sleep;
}

TestSuite(wait, .init = set_clock);

/* ---- the ladder ------------------------------------------------------------------------------------------------------------- */

Test(wait, ladder_climbs_up_to_its_cap)
{
    static const struct {
        uint64_t first, cap, elapsed, expected;
    } rows[] = {
        { 100 * US, 100000 * US, 0, 100 * US },
        { 100 * US, 100000 * US, 1600 * US, 100 * US },
        { 100 * US, 100000 * US, 3200 * US, 200 * US }, /* a 16th of the wait */
        { 100 * US, 100000 * US, 24000 * US, 1500 * US },
        { 100 * US, 100000 * US, 31000 * US, 1750 * US }, /* a 32nd of what is beyond 25 ms */
        { 100 * US, 100000 * US, 103000 * US, 4000 * US },
        { 100 * US, 100000 * US, 391000 * US, 13000 * US },
        { 100 * US, 100000 * US, 392000 * US, 13000 * US }, /* the same from there on */
        { 100 * US, 100000 * US, CLOCK_SECOND, 13000 * US },
        { 100 * US, 100000 * US, 1200000 * US, 13000 * US },
        { 100 * US, 100000 * US, 1800000 * US, 50000 * US }, /* a 16th of what is beyond a second */
        { 100 * US, 100000 * US, 10 * CLOCK_SECOND, 100000 * US },
        { 100 * US, 8000 * US, CLOCK_SECOND, 8000 * US },
        { 100 * US, CLOCK_SECOND, 9 * CLOCK_SECOND, CLOCK_SECOND / 2 },
        { 20000 * US, 100000 * US, 500000 * US, 20000 * US }, /* no pause is shorter than the first */
        { 20000 * US, 100000 * US, 1800000 * US, 50000 * US },
        { 5000 * US, 1000 * US, 0, 1000 * US }, /* a first above the cap is cut, too */
        { 1000 * US, 1000 * US, 9000 * US, 1000 * US },
        { 365 * 86400 * CLOCK_SECOND, 365 * 86400 * CLOCK_SECOND, 0, 365 * 86400 * CLOCK_SECOND },
        { 1 * US, 365 * 86400 * CLOCK_SECOND, UINT64_MAX, 365 * 86400 * CLOCK_SECOND },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct wait_bounds bounds = { .first_ns = rows[i].first, .cap_ns = rows[i].cap };
        uint64_t pause = wait_ladder(&bounds, rows[i].elapsed, 0);
        cr_expect_eq(pause, rows[i].expected, "row %zu: %lu", i, (unsigned long)pause);
    }
}

/* How far somebody is from the next attempt who lets go after so long; and how many attempts that has taken. */
static uint64_t longest_pause_at(uint64_t held, uint64_t *attempts)
{
    const struct wait_bounds bounds = { .first_ns = 100 * US, .cap_ns = 100000 * US };
    uint64_t elapsed = 0, pause = 0;
    for (*attempts = 1; elapsed < held; ++*attempts)
        elapsed += pause = wait_ladder(&bounds, elapsed, 0);
    return pause;
}

Test(wait, is_no_longer_than_the_conflict_wants_it)
{
    static const struct {
        uint64_t held, pause, attempts;
    } rows[] = {
        { 1000 * US, 100 * US, 11 },
        { 10000 * US, 625 * US, 48 },
        { 100000 * US, 4000 * US, 93 },
        { CLOCK_SECOND, 13000 * US, 179 },
        { 10 * CLOCK_SECOND, 100000 * US, 302 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t attempts, pause = longest_pause_at(rows[i].held, &attempts);
        cr_expect_leq(pause, rows[i].pause, "row %zu: %lu", i, (unsigned long)pause);
        cr_expect_leq(attempts, rows[i].attempts, "row %zu: %lu", i, (unsigned long)attempts);
    }
}

Test(wait, jitter_takes_off_at_most_a_third_and_reaches_it)
{
    const struct wait_bounds bounds = { .first_ns = 100 * US, .cap_ns = 8000 * US };
    for (uint64_t elapsed = 0; elapsed < 100 * CLOCK_MS; elapsed += 9 * CLOCK_MS) {
        uint64_t full = wait_ladder(&bounds, elapsed, 0), least = full, most = 0;
        for (uint64_t noise = 0; noise < 100000; noise++) {
            uint64_t pause = wait_ladder(&bounds, elapsed, noise * UINT64_C(0x9e3779b97f4a7c15) >> 20);
            least = pause < least ? pause : least;
            most = pause > most ? pause : most;
        }
        cr_expect_leq(most, full);
        cr_expect_geq(least, full - full / 3);
        cr_expect_lt(least, full - full / 3 + full / 100, "the jitter is narrower than a third");
        cr_expect_gt(most, full - full / 100);
    }
}

Test(wait, ladder_is_never_zero)
{
    static const struct wait_bounds bounds[] = { { 0, 0 }, { 0, 8000 * US }, { 1, 0 }, { 1, 1 }, { 2, 2 } };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        for (uint64_t elapsed = 0; elapsed < 70; elapsed++)
            for (uint64_t noise = 0; noise < 1000; noise += 7)
                cr_assert_gt(wait_ladder(&bounds[i], elapsed, noise), 0, "bounds %zu, after %lu", i, (unsigned long)elapsed);
}

/* Otherwise a wait of ten seconds is a hundred thousand attempts. */
Test(wait, ladder_climbs_from_zero_too)
{
    const struct wait_bounds bounds = { .first_ns = 0, .cap_ns = 8000 * US };
    cr_expect_eq(wait_ladder(&bounds, CLOCK_SECOND, 0), 8000 * US);
}

/* ---- marks ------------------------------------------------------------------------------------------------------------------ */

static struct {
    unsigned count;
    uint64_t at[8], spare[8];
} marks;

static void note_mark(struct wait *wait, uint64_t spare)
{
    marks.at[marks.count] = wait_elapsed_ns(wait);
    marks.spare[marks.count++] = spare;
    wait->mark_ns = marks.count == 1 ? CLOCK_SECOND : 0;
}

static void begin_marked(struct wait *wait, const struct wait_bounds *bounds)
{
    memset(&marks, 0, sizeof marks);
    wait_begin(wait, bounds);
    wait->mark_ns = 100 * CLOCK_MS;
    wait->marked = note_mark;
}

/* A mark comes on time within a long pause, and costs neither an attempt nor time. */
Test(wait, is_marked_within_a_pause)
{
    const struct wait_bounds bounds = { 3 * CLOCK_SECOND, 3 * CLOCK_SECOND, 10 * CLOCK_SECOND, 0 };
    struct wait wait;
    begin_marked(&wait, &bounds);
    cr_assert(wait_pause(&wait));
    cr_assert_eq(marks.count, 2);
    cr_expect_eq(marks.at[0], 100 * CLOCK_MS);
    cr_expect_eq(marks.at[1], CLOCK_SECOND);
    cr_expect_eq(wait.attempts, 2);
    uint64_t end = wait_elapsed_ns(&wait);
    cr_expect_eq(marks.at[0] + marks.spare[0], end);
    cr_expect_eq(marks.at[1] + marks.spare[1], end);
    cr_expect_eq(wait.first_delay_ns, end);
}

Test(wait, is_marked_between_short_pauses_and_not_too_early)
{
    const struct wait_bounds bounds = { 100 * US, 8000 * US, 2 * CLOCK_SECOND, 0 };
    struct wait wait;
    begin_marked(&wait, &bounds);
    while (wait_pause(&wait))
        ;
    cr_assert_eq(marks.count, 2);
    cr_expect_eq(marks.at[0], 100 * CLOCK_MS);
    cr_expect_eq(marks.at[1], CLOCK_SECOND);
    cr_expect_lt(wait.first_delay_ns, 101 * US);
    cr_expect_leq(wait.last_delay_ns, 8000 * US);

    const struct wait_bounds shorter = { 100 * US, 8000 * US, 90 * CLOCK_MS, 0 };
    begin_marked(&wait, &shorter);
    while (wait_pause(&wait))
        ;
    cr_expect_eq(marks.count, 0);
}

/* A signal before the mark ends the pause, as it ends any other: the next one comes to the mark. */
Test(wait, is_marked_once_though_signals_come)
{
    const struct wait_bounds bounds = { 3 * CLOCK_SECOND, 3 * CLOCK_SECOND, 4 * CLOCK_SECOND, 0 };
    struct wait wait;
    sleep_at_most = 30 * CLOCK_MS;
    begin_marked(&wait, &bounds);
    cr_assert(wait_pause(&wait));
    cr_expect_eq(marks.count, 0);
    while (wait_pause(&wait))
        ;
    cr_expect_eq(marks.count, 2);
}

/* ---- bounds ----------------------------------------------------------------------------------------------------------------- */

/* The attempts that all fail, the first one included. */
static uint64_t attempts_of(const struct wait_bounds *bounds, struct wait *wait)
{
    uint64_t attempts = 1;
    wait_begin(wait, bounds);
    while (wait_pause(wait)) {
        attempts++;
        cr_assert_lt(attempts, 1000000, "no end");
    }
    cr_expect_eq(wait->attempts, attempts, "the attempts are counted wrong");
    cr_expect_not(wait_pause(wait), "an end that isn't");
    return attempts;
}

Test(wait, is_bounded_by_attempts)
{
    for (uint64_t most = 1; most < 20; most++) {
        const struct wait_bounds bounds = { 100 * US, 8000 * US, 10 * CLOCK_SECOND, most };
        struct wait wait;
        sleeps = 0;
        cr_expect_eq(attempts_of(&bounds, &wait), most);
        cr_expect_eq(sleeps, most - 1, "slept without an attempt to follow");
    }
}

Test(wait, makes_its_last_attempt_right_at_the_deadline)
{
    static const uint64_t limits[] = { 1, 50 * US, 100 * US, 101 * US, 1000 * US, CLOCK_SECOND, 10 * CLOCK_SECOND };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const struct wait_bounds bounds = { 100 * US, 8000 * US, limits[i], 0 };
        struct wait wait;
        slept = 0;
        attempts_of(&bounds, &wait);
        cr_expect_eq(slept, limits[i], "limit %lu: slept %lu", (unsigned long)limits[i], (unsigned long)slept);
        cr_expect_eq(wait_elapsed_ns(&wait), limits[i]);
    }
}

Test(wait, does_not_wait_at_all_where_that_is_the_bound)
{
    const struct wait_bounds bounds = { 100 * US, 8000 * US, 0, 0 };
    struct wait wait;
    cr_expect_eq(attempts_of(&bounds, &wait), 1);
    cr_expect_eq(sleeps, 0);
}

Test(wait, goes_on_to_its_deadline_after_signals)
{
    const struct wait_bounds bounds = { 100 * US, 8000 * US, 100 * CLOCK_MS, 0 };
    struct wait wait;
    sleep_at_most = 10 * US;
    cr_expect_geq(attempts_of(&bounds, &wait), 10000 - 1);
    cr_expect_eq(slept, 100 * CLOCK_MS);
}

Test(wait, makes_one_attempt_after_a_sleep_that_ended_late)
{
    const struct wait_bounds bounds = { 100 * US, 8000 * US, CLOCK_MS, 0 };
    struct wait wait;
    stolen = 5 * CLOCK_SECOND;
    cr_expect_eq(attempts_of(&bounds, &wait), 2);
    cr_expect_eq(sleeps, 1);
}

Test(wait, stays_on_its_ladder)
{
    const struct wait_bounds bounds = { 100 * US, 8000 * US, 10 * CLOCK_SECOND, 0 };
    struct wait wait;
    wait_begin(&wait, &bounds);
    for (uint64_t failures = 1; failures < 100; failures++) {
        uint64_t full = wait_ladder(&bounds, wait_elapsed_ns(&wait), 0);
        slept = 0;
        cr_assert(wait_pause(&wait));
        cr_expect_leq(slept, full, "pause %lu", (unsigned long)failures);
        cr_expect_geq(slept, full - full / 3, "pause %lu", (unsigned long)failures);
        cr_expect_eq(wait.paused_ns, wait_elapsed_ns(&wait));
    }
}

Test(wait, of_two_that_start_apart_keeps_out_of_step)
{
    const struct wait_bounds bounds = { 100 * US, 8000 * US, 10 * CLOCK_SECOND, 0 };
    uint64_t equal = 0;
    for (uint64_t i = 0; i < 100; i++) {
        struct wait wait;
        uint64_t pauses[2];
        for (int one = 0; one < 2; one++) {
            fake_now = (i + 1) * CLOCK_SECOND + (uint64_t)one;
            wait_begin(&wait, &bounds);
            for (int k = 0; k < 8; k++) {
                slept = 0;
                wait_pause(&wait);
            }
            pauses[one] = slept;
        }
        equal += pauses[0] == pauses[1];
    }
    cr_expect_lt(equal, 5, "%lu of 100 pairs of waiters move in step", (unsigned long)equal);
}

Test(wait, keeps_errno)
{
    const struct wait_bounds bounds = { 100 * US, 8000 * US, CLOCK_SECOND, 0 };
    struct wait wait;
    errno = ETXTBSY;
    wait_begin(&wait, &bounds);
    cr_expect_eq(errno, ETXTBSY);
    errno = ETXTBSY;
    wait_pause(&wait);
    int after_pause = errno;
    cr_expect_eq(after_pause, ETXTBSY);
    errno = ETXTBSY;
    wait_elapsed_ns(&wait);
    cr_expect_eq(errno, ETXTBSY);
}

/* ---- self-held -------------------------------------------------------------------------------------------------------------- */

static struct statx file_of(int fd)
{
    struct statx file;
    cr_assert_eq(sys_fstat(fd, &file), 0);
    return file;
}

Test(wait, finds_the_descriptor_that_holds_the_file_for_writing)
{
    static const struct {
        int flags;
        bool holds;
    } rows[] = {
        { O_WRONLY, true }, { O_RDWR, true }, { O_WRONLY | O_APPEND | O_CLOEXEC, true }, { O_RDONLY, false }, { O_PATH, false },
    };
    char ours[] = "/tmp/etxtbsy-unit-XXXXXX", other[] = "/tmp/etxtbsy-unit-XXXXXX";
    int fd = mkostemp(ours, O_CLOEXEC), other_fd = mkostemp(other, O_CLOEXEC);
    struct statx file = file_of(fd);
    close(fd);

    cr_expect_eq(wait_self_held(sys_device(&file), file.stx_ino), -1, "nobody holds it");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fd = open(ours, rows[i].flags);
        cr_assert_geq(fd, 0);
        errno = ETXTBSY;
        int found = wait_self_held(sys_device(&file), file.stx_ino), error = errno;
        cr_expect_eq(found, rows[i].holds ? fd : -1, "flags %#x: found %d, opened %d", rows[i].flags, found, fd);
        cr_expect_eq(error, ETXTBSY);
        close(fd);
    }
    cr_expect_eq(wait_self_held(sys_device(&file) + 1, file.stx_ino), -1, "the same inode of another device is another file");
    close(other_fd);
    unlink(ours);
    unlink(other);
}

Test(wait, looks_behind_a_reader_for_the_writer)
{
    char path[] = "/tmp/etxtbsy-unit-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    int reader = open(path, O_RDONLY), writer = open(path, O_WRONLY);
    struct statx file = file_of(fd);
    close(fd); /* leaves the lowest number to nobody, so that the reader comes first */
    cr_expect_eq(wait_self_held(sys_device(&file), file.stx_ino), writer);
    close(reader);
    close(writer);
    unlink(path);
}

Test(wait, finds_it_among_more_descriptors_than_one_read_of_the_directory_gives)
{
    char path[] = "/tmp/etxtbsy-unit-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC), null = open("/dev/null", O_RDWR);
    struct statx file = file_of(fd);
    for (int i = 0; i < 500; i++)
        cr_assert_geq(dup(null), 0);
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    close(fd);
    cr_expect_eq(wait_self_held(sys_device(&file), file.stx_ino), high);
    unlink(path);
}

Test(wait, self_held_keeps_errno_where_nothing_can_be_found_out)
{
    static const long calls[] = { MMAP, SYS_openat, SYS_getdents64, SYS_statx };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        failing_call = calls[i];
        errno = ETXTBSY;
        int found = wait_self_held(0, 1), error = errno;
        failing_call = 0;
        cr_expect_eq(found, -1);
        cr_expect_eq(error, ETXTBSY, "system call %ld failed and errno is %d", calls[i], error);
    }
}
