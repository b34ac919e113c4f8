# shellcheck shell=sh
# needs: make cc c++
# One job starts the tool that another still writes.
prepare() {
    echo 'int main(void) { return 0; }' >main.c
    cp main.c main.cc
    cat >Makefile <<'END'
all: program program++ tool report
program: main.c
	cc -o $@ $<
program++: main.cc
	c++ -o $@ $<
tool: program
	cp $< $@ && /opt/recipe/hold $@
report:
	until test -e tool.held; do sleep 0.02; done
	./tool && echo good >$@
END
}

check() {
    ./program
    ./program++
    [ "$(cat report)" = good ] || say "the tool wasn't started"
    logged '"outcome":"succeeded"'
}
