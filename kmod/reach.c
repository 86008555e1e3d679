// SPDX-License-Identifier: GPL-2.0
/*
 * For the fuzzer alone, in builds with MYTUN_INSTRUMENT=reach: which parts of the module's code
 * were reached, in memory that a program maps.
 *
 * The kernel's own KCOV belongs to a task. It does not see what a doorbell starts in softirq,
 * nor the injecting threads, nor the timers, which is where this driver does its work, and
 * Debian's kernels come without it. So the module brings the function that the compiler calls
 * at each basic block, in place of the kernel's, and all contexts count in one map.
 *
 * The last page of the map is a text of the program's: what it is about to do. A kernel that panics
 * says it, since nobody else then can.
 */
#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/vmalloc.h>

#include "compat/panic.h"
#include "internal.h"

/* A byte for each block, then the text. Calls are five bytes or more apart. */
#define MYTUN_REACH_BLOCKS BIT(17)
#define MYTUN_REACH_TEXT   PAGE_SIZE

static u8 *mytun_reach;
static struct dentry *mytun_reach_file;

/* Calls that meet on two CPUs may count as one. */
void notrace __sanitizer_cov_trace_pc(void)
{
	unsigned long at = _RET_IP_ - (unsigned long)__sanitizer_cov_trace_pc;
	u8 *map = READ_ONCE(mytun_reach);
	u8 *block;

	if (!map)
		return;
	block = &map[at / 4 % MYTUN_REACH_BLOCKS];
	if (*block != U8_MAX)
		++*block;
}

static int mytun_reach_mmap(struct file *file, struct vm_area_struct *vma)
{
	return remap_vmalloc_range(vma, mytun_reach, vma->vm_pgoff);
}

static const struct file_operations mytun_reach_fops = {
	.owner = THIS_MODULE,
	.mmap = mytun_reach_mmap,
};

static int mytun_reach_panic(struct notifier_block *nb, unsigned long event, void *unused)
{
	char *line, *text = (char *)mytun_reach + MYTUN_REACH_BLOCKS;

	text[MYTUN_REACH_TEXT - 1] = '\0';
	while ((line = strsep(&text, "\n")) && *line)
		pr_emerg("mytun was doing: %s\n", line);
	return NOTIFY_DONE;
}

static struct notifier_block mytun_reach_notifier = {
	.notifier_call = mytun_reach_panic,
};

int mytun_reach_init(void)
{
	u8 *map = vmalloc_user(MYTUN_REACH_BLOCKS + MYTUN_REACH_TEXT);

	if (!map)
		return -ENOMEM;
	/* From here on it counts. */
	WRITE_ONCE(mytun_reach, map);
	/* unsafe: only that one lets a file be mapped. */
	mytun_reach_file = debugfs_create_file_unsafe("mytun_reach", 0600, NULL, NULL,
						      &mytun_reach_fops);
	atomic_notifier_chain_register(&panic_notifier_list, &mytun_reach_notifier);
	return 0;
}

void mytun_reach_exit(void)
{
	u8 *map = mytun_reach;

	atomic_notifier_chain_unregister(&panic_notifier_list, &mytun_reach_notifier);
	debugfs_remove(mytun_reach_file);
	WRITE_ONCE(mytun_reach, NULL);
	/* A softirq may still be counting. */
	synchronize_rcu();
	vfree(map);
}
