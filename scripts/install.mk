# make install, install-library, uninstall, dist, deb, rpm: included by the Makefile.
#
#     make install                            into /usr/local; as root
#     make install PREFIX=$HOME/.local        for one user, without root
#     make install DESTDIR=/tmp/root          into a tree that becomes a package or an image
#     make install-library CC='gcc -m32' BUILD=build/32    beside it, for programs of the other word size
#
# These are never edited in place: each file is renamed into its place, so that programs may be starting under the library
# meanwhile. `make uninstall` with the same variables removes what install made, directories too, and nothing else.

VERSION := $(shell sed -n 's/^.define CLI_VERSION "\(.*\)"/\1/p' shim/cli/cli.h)

DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DOCDIR ?= $(DATADIR)/doc/libetxtbsy
BASHDIR ?= $(DATADIR)/bash-completion/completions
ZSHDIR ?= $(DATADIR)/zsh/site-functions
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
# logrotate looks in /etc alone.
SYSCONFDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)

PLACES = DESTDIR PREFIX LIBDIR BINDIR MANDIR DOCDIR DATADIR BASHDIR ZSHDIR TMPFILESDIR SYSCONFDIR INSTALLED_LIBRARY BUILD VERSION
IN_PLACES = $(foreach place,$(PLACES),$(place)='$($(place))')

install: all
	$(IN_PLACES) scripts/install.sh install

install-library: $(BUILD)/libetxtbsy.so
	$(IN_PLACES) scripts/install.sh install-library

uninstall:
	$(IN_PLACES) scripts/install.sh uninstall

# The same bytes from the same commit, whoever makes it where.
dist:
	scripts/dist.sh '$(VERSION)' '$(BUILD)'

deb:
	scripts/setup.sh deb
	scripts/deb.sh '$(VERSION)' '$(BUILD)'

rpm:
	scripts/setup.sh rpm
	scripts/rpm.sh '$(VERSION)' '$(BUILD)'

# Installed, used and purged in a fresh Debian; under a systemd of its own. Both need root, and a few minutes.
prove-deb: deb
	scripts/setup.sh prove
	scripts/prove_deb.sh '$(BUILD)'

prove-systemd: deb
	scripts/setup.sh prove
	scripts/prove_systemd.sh '$(BUILD)'

.PHONY: deb dist install install-library prove-deb prove-systemd rpm uninstall
