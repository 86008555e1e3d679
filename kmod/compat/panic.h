/* SPDX-License-Identifier: GPL-2.0 */
/* Where a driver hears of a panic. */
#ifndef MYTUN_COMPAT_PANIC_H
#define MYTUN_COMPAT_PANIC_H

#ifdef MYTUN_HAVE_PANIC_NOTIFIER_H
#include <linux/panic_notifier.h>
#else
#include <linux/kernel.h>
#include <linux/notifier.h>
#endif

#endif /* MYTUN_COMPAT_PANIC_H */
