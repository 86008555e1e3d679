// SPDX-License-Identifier: MIT
/*
 * A plugin of QEMU's emulator that counts instructions for each place and each way that led there.
 *
 *	-plugin plugin.so,start=ADDRESS,stop=ADDRESS,out=FILE
 *
 * It counts from when the first address is executed for the first time, the main function of a
 * program for one, until the other one is, or to the machine's end. A virtual machine of one x86-64
 * CPU only.
 *
 * QEMU translates, and runs, code in blocks that no branch leads into or out of but at their ends.
 * Each run of a block adds its instructions to the block's counter, so that no sample is needed,
 * and nothing hides behind disabled interrupts. The counter is that of the block and of the context
 * it runs in: the return addresses of the calls that have not returned.
 *
 * A call makes a new context the current one, and keeps the old one with the place in the stack
 * that got the return address. A return reads that place, and makes current what is kept with it.
 * So there is no model of stacks that could get out of step, and nothing to be known about
 * switches between them: a task, an interrupt, a soft interrupt on its own stack, or a goroutine
 * goes on by returning through its own stack, which brings its own context. A thunk that calls,
 * overwrites the return address and returns, in place of an indirect jump, keeps the context, as
 * a jump does.
 *
 * What it does not see:
 * - A jump to another function at the end of one: the new function seems to be called by the
 *   caller of the old one, as in any walk through a stack.
 * - Entries into the kernel, since they are no calls: contexts of the kernel continue those of the
 *   program, without the function that makes the system call. An interrupt seems to be called by
 *   the caller of what it interrupts; the program that reads the file cuts there.
 * - The context after a return through a place that no call is known of, since it is older than
 *   the start or since Go has moved its stack: it is the empty one, until a known call returns.
 * - That two programs have stacks at the same address, as those of Go have: one that waits may
 *   go on in the context of another, so that what is said to be called by whom is not
 *   quite true of several programs. What each function has for itself is.
 * - That some calls are never meant to return: those that fill the processor's predictor of returns
 *   on a switch between tasks seem to be nested, until the next return.
 * - Time: an instruction that misses the cache counts as any other. A block that a page fault
 *   leaves in its middle counts as a whole, and what is left of it once more.
 */

#include "plugin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PLUGIN_EXPORT int qemu_plugin_version = PLUGIN_API_VERSION;

/* Two numbers lead to two others, which are 0 at first. */
struct entry {
	uint64_t a, b;
	uint64_t v, w;
	bool used;
};

struct table {
	struct entry *entries;
	size_t size; /* a power of two */
	size_t used;
};

static struct table slots; /* place in the stack, 0: the caller's context */
static struct table contexts; /* caller's context, return address: a context */
static struct table counts; /* context, block: runs, instructions */

static const char *out;
static uint64_t start, stop; /* 0: never */
static bool started, stopped;
static uint64_t current; /* context; 0 is the empty one */

static struct entry *slot(struct table *t, uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ (b << 32 | b >> 32)) * 0x9e3779b97f4a7c15;
	size_t i = (h ^ h >> 29) & (t->size - 1);

	while (t->entries[i].used && (t->entries[i].a != a || t->entries[i].b != b))
		i = (i + 1) & (t->size - 1);
	return &t->entries[i];
}

static void resize(struct table *t, size_t size)
{
	struct table old = *t;

	t->size = size;
	t->entries = calloc(size, sizeof(*t->entries));
	if (!t->entries)
		abort();
	for (size_t i = 0; i < old.size; i++) {
		if (old.entries[i].used)
			*slot(t, old.entries[i].a, old.entries[i].b) = old.entries[i];
	}
	free(old.entries);
}

static struct entry *find(struct table *t, uint64_t a, uint64_t b)
{
	struct entry *e;

	if (2 * t->used >= t->size)
		resize(t, t->size ? 2 * t->size : 1 << 16);
	e = slot(t, a, b);
	if (!e->used) {
		*e = (struct entry){ .a = a, .b = b, .used = true };
		t->used++;
	}
	return e;
}

/* What a callback has to know of a block: its address, of 48 bits, and its instructions. */
static void *pack(uint64_t pc, uint64_t n)
{
	return (void *)(uintptr_t)(n << 48 | (pc & 0xffffffffffff));
}

static void block_runs(unsigned int cpu, void *packed)
{
	uint64_t bits = (uintptr_t)packed;
	uint64_t pc = (uint64_t)((int64_t)(bits << 16) >> 16);
	struct entry *e;

	(void)cpu;
	if (!started && pc != start)
		return;
	started = true;
	stopped = stopped || (stop && pc == stop);
	if (stopped)
		return;
	e = find(&counts, current, pc);
	e->v++;
	e->w += bits >> 48;
}

/* The return address ret has been written to vaddr. */
static void call(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *ret)
{
	struct entry *e;

	(void)cpu;
	/* An indirect call may read, too, where it leads to. */
	if (!started || !qemu_plugin_mem_is_store(info))
		return;
	find(&slots, vaddr, 0)->v = current;
	e = find(&contexts, current, (uintptr_t)ret);
	if (!e->v)
		e->v = contexts.used;
	current = e->v;
}

/* A return address has been read from vaddr. */
static void returns(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *unused)
{
	struct entry *e;

	(void)cpu;
	(void)info;
	(void)unused;
	if (!started)
		return;
	/* A second return without a call would be of somebody else. */
	e = find(&slots, vaddr, 0);
	current = e->v;
	e->v = 0;
}

enum kind {
	CALL,
	RETURN,
	OTHER
};

static enum kind kind_of(const uint8_t *insn, size_t size)
{
	size_t i = 0;

	/* Prefixes, of which some are there for their length alone; then REX. */
	while (i < size && (memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3", insn[i], 10) ||
			    (insn[i] & 0xf0) == 0x40))
		i++;
	if (i == size)
		return OTHER;
	switch (insn[i]) {
	case 0xe8:
		return CALL;
	case 0xff: /* calls if the opcode's extension is 2, to what is in a register or in memory */
		return i + 1 < size && (insn[i + 1] >> 3 & 7) == 2 ? CALL : OTHER;
	case 0xc2:
	case 0xc3:
		return RETURN;
	}
	return OTHER;
}

static void block_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb);
	struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(tb, n - 1);
	size_t size = qemu_plugin_insn_size(last);
	uint64_t next = qemu_plugin_insn_vaddr(last) + size;

	(void)id;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, block_runs, QEMU_PLUGIN_CB_NO_REGS,
					     pack(qemu_plugin_tb_vaddr(tb), n));
	/* Both reads and writes: asked for reads alone, QEMU 7.2 leaves out most of them. */
	switch (kind_of(qemu_plugin_insn_data(last), size)) {
	case CALL:
		qemu_plugin_register_vcpu_mem_cb(last, call, QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_RW, (void *)(uintptr_t)next);
		break;
	case RETURN:
		qemu_plugin_register_vcpu_mem_cb(last, returns, QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_RW, NULL);
		break;
	case OTHER:
		break;
	}
}

/*
 * The file has a line for each context, "context CALLER NUMBER RETURN-ADDRESS", and one for each
 * counter, "count CONTEXT BLOCK RUNS INSTRUCTIONS"; addresses are hexadecimal.
 */
static void finish(qemu_plugin_id_t id, void *unused)
{
	FILE *f = fopen(out, "w");

	(void)id;
	(void)unused;
	if (!f) {
		perror(out);
		return;
	}
	for (size_t i = 0; i < contexts.size; i++) {
		struct entry *e = &contexts.entries[i];

		if (e->used)
			fprintf(f, "context %" PRIu64 " %" PRIu64 " %" PRIx64 "\n",
				e->a, e->v, e->b);
	}
	for (size_t i = 0; i < counts.size; i++) {
		struct entry *e = &counts.entries[i];

		if (e->used)
			fprintf(f, "count %" PRIu64 " %" PRIx64 " %" PRIu64 " %" PRIu64 "\n",
				e->a, e->b, e->v, e->w);
	}
	if (fclose(f))
		perror(out);
}

PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
				      char **argv);

PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
				      char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "start=", 6))
			start = strtoull(argv[i] + 6, NULL, 0);
		else if (!strncmp(argv[i], "stop=", 5))
			stop = strtoull(argv[i] + 5, NULL, 0);
		else if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
	}
	if (!start || !out || !info->system_emulation || info->system.smp_vcpus != 1 ||
	    strcmp(info->target_name, "x86_64")) {
		fprintf(stderr, "profile: wants start=, out=, and a machine of one x86-64 CPU\n");
		return 1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
