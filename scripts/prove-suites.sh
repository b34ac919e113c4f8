#!/bin/sh
# Runs test suites that others wrote without the library and with it, and compares test by test:
# `scripts/prove-suites.sh BUILD SUITE...`, of python, mksh, bash, tcl, or python-short. No test that passes without may fail with.
# A difference is tried once more, both ways; what doesn't fail again is called unsteady, by name.
# Sources come from Debian, by apt; a suite that can't be had is skipped, and said so.
set -eu
cd "$(dirname "$0")/.."

library=$(realpath "$1/libetxtbsy.so")
mkdir -p "$1/suites"
work=$(realpath "$1/suites")
fetch=$(realpath scripts/fetch-source.sh)
shift

python_files="test_fileio test_file test_io test_os test_posix test_posixpath test_stat test_subprocess test_shutil test_tempfile
    test_mmap test_fcntl test_pathlib test_glob test_zipfile test_tarfile test_gzip test_bz2 test_lzma test_largefile
    test_fork1 test_wait3 test_wait4 test_popen test_pty test_select test_selectors test_threading test_thread test_signal test_eintr
    test_faulthandler test_atexit test_import test_py_compile test_compileall test_runpy test_cmd_line test_mailbox
    test_dbm_dumb test_shelve test_logging test_fileinput test_filecmp"

# Each of these runs a suite once, in the current directory, and writes "pass NAME" or "fail NAME" for each test.

# A file at a time: one that hangs costs its own results alone. A script in the background has SIGINT ignored; its tests mustn't.
run_python() {
    for file in $1; do
        timeout 300 env --default-signal python3 -m test --junit-xml "$PWD/$file.xml" "$file" >"$file.log" 2>&1 </dev/null || true
        [ ! -s "$file.xml" ] || python3 - "$file" <<'END'
import sys, xml.etree.ElementTree as tree
for case in tree.parse(sys.argv[1] + ".xml").iter("testcase"):
    if case.find("skipped") is None and case.get("status") == "run":
        bad = case.find("failure") is not None or case.find("error") is not None
        print("fail" if bad else "pass", sys.argv[1] + "." + case.get("name").replace(" ", "_"))
END
    done
}

run_mksh() {
    mkdir tmp
    perl "$work/source/mksh/check.pl" -s "$work/source/mksh/check.t" -p "$(command -v mksh)" -v -T "$PWD/tmp" >log 2>&1 </dev/null || true
    sed -n 's/^\(pass\|FAIL\|fail\) [^ ]*check.t:\([^ ]*\).*/\1 \2/p' log | sed 's/^FAIL/fail/'
}

run_bash() {
    cp -r "$work/source/bash/tests" tests
    for program in recho zecho printenv xcase; do
        cc -w -D'PARAMS(x)=x' -DHAVE_UNISTD_H -DHAVE_STDLIB_H -DHAVE_STRING_H -I"$work/source/bash" -I"$work/source/bash/include" \
            -o "tests/$program" "$work/source/bash/support/$program.c"
    done
    for test in tests/run-*; do
        name=${test##*/run-}
        case $name in all | minimal | gprof | jobs) continue ;; esac
        if (cd tests && THIS_SH=$(command -v bash) PATH=$PWD:$PATH BASH_TSTOUT=$PWD/../out.$name timeout 120 sh "./run-$name") \
            >"log.$name" 2>&1 </dev/null; then
            echo "pass $name"
        else
            echo "fail $name"
        fi
    done
}

run_tcl() {
    mkdir tmp
    tclsh "$work/source/tcl8.6/tests/all.tcl" -verbose ps -tmpdir "$PWD/tmp" -notfile "http*.test socket.test clock.test" >log 2>&1 </dev/null || true
    sed -n 's/^++++ \([^ ]*\) PASSED$/pass \1/p; s/^==== \([^ ]*\) .*FAILED$/fail \1/p' log | sort -u
}

# run SUITE HOW: the results go to $work/SUITE.HOW; a suite that ends early leaves tests out, and these count as failed.
run() {
    place=$work/$1.run
    rm -rf "$place"
    mkdir -p "$place"
    (
        cd "$place"
        [ "$2" = plain ] || export LD_PRELOAD="$library" ETXTBSY_LOG="$work/log.json"
        case $1 in
        python) run_python "$python_files" ;;
        python-short) run_python "test_fileio test_posix test_tempfile" ;;
        mksh) run_mksh ;;
        bash) run_bash ;;
        tcl) run_tcl ;;
        esac
    ) | sort >"$work/$1.$2"
}

# Tests that pass in the first file and don't in the second.
worse() {
    sed -n 's/^pass //p' "$work/$2" | sort -u >"$work/passed"
    sed -n 's/^fail //p' "$work/$1" | sort -u >"$work/failed"
    sed -n 's/^pass //p' "$work/$1" | sort -u | comm -23 - "$work/failed" | comm -23 - "$work/passed"
}

can_have() {
    case $1 in
    python*) python3 -c 'import test.test_fileio' 2>/dev/null ;;
    mksh) command -v mksh perl >/dev/null && "$fetch" "$work/source" mksh ;;
    bash) command -v bash cc >/dev/null && "$fetch" "$work/source" bash ;;
    tcl) command -v tclsh >/dev/null && "$fetch" "$work/source" tcl8.6 ;;
    *) false ;;
    esac
}

status=0
for suite in "$@"; do
    if ! can_have "$suite"; then
        echo "skipped: the suite $suite can't be had here" >&2
        continue
    fi
    rm -f "$work/log.json"
    run "$suite" plain
    run "$suite" preloaded
    broken=$(worse "$suite.plain" "$suite.preloaded")
    unsteady=""
    if [ -n "$broken" ]; then
        cp "$work/$suite.plain" "$work/$suite.plain.first"
        printf '%s\n' "$broken" >"$work/differ"
        run "$suite" plain
        run "$suite" preloaded
        broken=$(worse "$suite.plain" "$suite.preloaded" | comm -12 - "$work/differ")
        printf '%s\n' "$broken" >"$work/broken"
        unsteady=$(comm -23 "$work/differ" "$work/broken" | tr '\n' ' ')
    fi
    said=0
    [ ! -f "$work/log.json" ] || said=$(wc -l <"$work/log.json")
    echo "suite $suite: $(grep -c ^pass "$work/$suite.plain") pass without, $(grep -c ^pass "$work/$suite.preloaded") with," \
        "$(grep -c ^fail "$work/$suite.plain" || true) fail without; $said interventions${unsteady:+; unsteady: $unsteady}"
    if [ "$(grep -c ^pass "$work/$suite.plain")" = 0 ]; then
        echo "suite $suite: nothing passed: it didn't run" >&2
        status=1
    fi
    if [ -n "$broken" ]; then
        echo "suite $suite: pass without and fail with: $broken" >&2
        status=1
    fi
done
exit "$status"
