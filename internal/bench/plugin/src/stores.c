// SPDX-License-Identifier: MIT
/*
 * A plugin of QEMU's emulator that counts the bytes that the machine stores, in sections.
 *
 *	-plugin plugin.so,marks=ADDRESS,out=FILE
 *
 * A program has an array of bytes at the address, 256 of them. When it stores to one of them, a
 * section of that index begins, and ends the one before it; what comes before the first, and in
 * sections of index 0, is not counted. A virtual machine of one x86-64 CPU only, so that nothing
 * else stores at the same time.
 *
 * All stores count, of each instruction of each program and of the kernel, but those that fill
 * memory with one value (stos): who compares two sections that differ in nothing but the size
 * of what is carried finds in the difference how often it was copied, by whatever instructions.
 *
 * The file has a line for each section that has ended: its index, and bytes.
 */

#include "plugin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTIONS 256

PLUGIN_EXPORT int qemu_plugin_version = PLUGIN_API_VERSION;

static FILE *out;
static uint64_t marks;
static unsigned int section;
static uint64_t stored; /* in it */

static void access(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *unused)
{
	(void)cpu;
	(void)unused;
	if (!qemu_plugin_mem_is_store(info))
		return;
	if (vaddr - marks >= SECTIONS) {
		stored += 1 << qemu_plugin_mem_size_shift(info);
		return;
	}
	if (section)
		fprintf(out, "%u %" PRIu64 "\n", section, stored);
	section = vaddr - marks;
	stored = 0;
}

static bool fills(const uint8_t *insn, size_t size)
{
	size_t i = 0;

	/* Prefixes; then REX. */
	while (i < size && (memchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf2\xf3", insn[i], 10) ||
			    (insn[i] & 0xf0) == 0x40))
		i++;
	return i < size && (insn[i] == 0xaa || insn[i] == 0xab);
}

static void block_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		/* Both reads and writes: asked for one alone, QEMU 7.2 leaves out some of them. */
		if (!fills(qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn)))
			qemu_plugin_register_vcpu_mem_cb(insn, access, QEMU_PLUGIN_CB_NO_REGS,
							 QEMU_PLUGIN_MEM_RW, NULL);
	}
}

static void finish(qemu_plugin_id_t id, void *unused)
{
	(void)id;
	(void)unused;
	if (fclose(out))
		perror("stores: the file");
}

PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
				      char **argv);

PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
				      char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "marks=", 6))
			marks = strtoull(argv[i] + 6, NULL, 0);
		else if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
	}
	if (!marks || !out || !info->system_emulation || info->system.smp_vcpus != 1 ||
	    strcmp(info->target_name, "x86_64")) {
		fprintf(stderr, "stores: wants marks=, out=, and a machine of one x86-64 CPU\n");
		return 1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
