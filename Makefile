# SPDX-License-Identifier: MIT
# Everything that a user or a developer starts. "make" alone lists it.

# Kernels that the tests boot, all of the tests on each: "all", or names that `go run ./internal/vm
# kernels` prints. If empty it is 6.1, and for the essential tests another one, by turns.
KERNELS ?=

# How long "make fuzz" is at each of its targets, in seconds.
FUZZTIME ?= 30s

# What "make profile" looks at: a work of the benchmark, rx (stack to program), tx (program to stack), vpn-udp or
# vpn-tcp (through a tunnel); and by which peer, as the benchmark's tables name it.
W     ?= rx
PEERS ?=

# Where the module is built for and installed to; DESTDIR is honoured.
KREL   ?= $(shell uname -r)
KDIR   ?= /lib/modules/$(KREL)/build
PREFIX ?= /usr/local

VM := go run ./internal/vm

SHELL := bash
export KERNELS FUZZTIME WHOLE

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: deps ## a tunnel in a virtual machine, built, booted and measured while you watch
	@$(VM) run -go example/vpn -timeout 10m -- /guest/demo.sh

.PHONY: shell
shell: deps ## a virtual machine with the module loaded, on this terminal
	@$(VM) shell

.PHONY: test
test: deps ## all tests, on this machine and in virtual machines; counts them at the end
	@internal/check/run static host guest lab bench

.PHONY: test-debug
test-debug: deps ## what is slow: every kernel, races, long stress, fuzzers, models; WHOLE=1 for hours, and not a share of it
	@$(VM) deps -fuzz
	@$(VM) deps -model
	@internal/check/run debug

.PHONY: test-load
test-load: deps ## 10^8 packets of the kernel's generator; LOAD_PACKETS is how many
	@internal/check/run load

.PHONY: check
check: deps ## the static checks alone: formats, linters, warnings
	@internal/check/run static

.PHONY: test-host
test-host: deps ## the tests that need no module
	@internal/check/run host

.PHONY: test-guest
test-guest: deps ## the tests of the loaded module, in virtual machines
	@internal/check/run guest

.PHONY: test-lab
test-lab: deps ## the tests on kernels that watch themselves; the first time builds these, minutes each
	@internal/check/run lab

.PHONY: planted
planted: deps ## are the detectors alive? each mistake of internal/lab/planted must be caught
	@internal/check/run planted

.PHONY: coverage
coverage: deps ## which lines of the module the guest tests reach; fails at one that is not explained
	@internal/check/run coverage

.PHONY: fuzz
fuzz: deps ## look for inputs that break what reads bytes of others; FUZZTIME=30s for each parser
	@$(VM) deps -fuzz
	@internal/check/fuzz.sh

.PHONY: model
model: ## check models of the rings' protocol exhaustively, and that each mistake in it is found
	@$(VM) deps -model
	@doc/model/run

.PHONY: bench
bench: deps ## what a packet costs, of mytun and its peers: tables and plots in doc/bench, and the budget check
	@internal/bench/run.sh

.PHONY: bench-host
bench-host: ## as root, where the module is loaded: packets, bits and CPU time a second on this very machine
	@internal/bench/host.sh

.PHONY: profile
profile: deps ## where the instructions of a packet go: tables and a flame graph; W=rx, tx, vpn-udp or vpn-tcp
	@go run -C internal/bench ./profile -work $(W) -peers "$(PEERS)"

.PHONY: format
format: deps ## put the source into the formats that the tests ask for
	@. internal/check/lib.sh; files '*.go' | xargs gofmt -w; files '*.c' '*.h' | xargs clang-format -i

.PHONY: kmod
kmod: ## build the module for the running kernel of this machine
	@test -d $(KDIR) || { echo "no headers of kernel $(KREL) at $(KDIR): as root, apt-get install linux-headers-$(KREL)" >&2; exit 1; }
	$(MAKE) -C kmod KDIR=$(KDIR)

.PHONY: install
# There is no key to sign with: asking for it only prints errors.
install: kmod ## install the module, to be loaded at boot, its header and manual page (as root)
	$(MAKE) -C $(KDIR) M=$(CURDIR)/kmod CONFIG_MODULE_SIG_ALL= $(if $(DESTDIR),INSTALL_MOD_PATH=$(DESTDIR)) modules_install
	$(if $(DESTDIR),,depmod $(KREL))
	install -D -m 644 kmod/uapi/mytun.h $(DESTDIR)$(PREFIX)/include/mytun.h
	install -D -m 644 doc/mytun.4 $(DESTDIR)$(PREFIX)/share/man/man4/mytun.4
	install -d $(DESTDIR)/etc/modules-load.d
	echo mytun >$(DESTDIR)/etc/modules-load.d/mytun.conf
	@echo "installed; modprobe mytun loads the module now"

.PHONY: uninstall
uninstall: ## take back what install did (as root)
	find $(DESTDIR)/lib/modules/$(KREL) -name 'mytun.ko*' -delete
	rm -f $(DESTDIR)$(PREFIX)/include/mytun.h $(DESTDIR)$(PREFIX)/share/man/man4/mytun.4 $(DESTDIR)/etc/modules-load.d/mytun.conf
	$(if $(DESTDIR),,depmod $(KREL))

.PHONY: clean
clean: ## remove what builds in the tree left behind
	@git clean -fdXq kmod csrc example internal

.PHONY: distclean
distclean: clean ## remove the cache too: kernels, images, built modules
	@$(VM) distclean

.PHONY: deps
deps:
	@$(VM) deps
