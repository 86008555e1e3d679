/* SPDX-License-Identifier: MIT */
/*
 * The same calls on the built-in driver's node and on ours, and what came of them:
 *
 *	static void scenario(void)
 *	{
 *		say("%d", ioctl(tun_open_file(), TUNSETNOCSUM, 1));
 *	}
 *
 *	TEST(it_is_so_on_both)
 *	{
 *		both(scenario);
 *	}
 */
#ifndef BOTH_H
#define BOTH_H

/* Runs @scenario twice, each in a process and a network namespace of its own, with
 * tun_path set; fails at the first line that they do not say alike.
 */
void both(void (*scenario)(void));

/* One line, without its end. */
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...);

/* Says what a call returned: "CALL: 0", "CALL: EINVAL". */
#define say_call(call) say_result(#call, (call))
void say_result(const char *call, long long ret);

#endif /* BOTH_H */
