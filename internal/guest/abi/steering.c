// SPDX-License-Identifier: MIT
/* A program chooses the queue that a packet goes to. */
#include <linux/if_tun.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "both.h"
#include "bpf.h"
#include "check.h"
#include "tun.h"

static void steered(void)
{
	struct tun t[3];

	t[0] = tap_up(IFF_MULTI_QUEUE);
	say_call(ebpf_set(&t[0], TUNSETSTEERINGEBPF, bpf_of_another_type()));
	say_call(ebpf_set(&t[0], TUNSETSTEERINGEBPF, bpf_first_byte()));
	for (int i = 1; i < 3; i++)
		t[i] = tun_open(t[0].name, IFF_TAP | IFF_MULTI_QUEUE);
	for (int i = 0; i < 256; i += 5)
		frame_send(&t[0], NULL, i);
	for (int i = 0; i < 3; i++)
		frames_say(&t[i]);
	for (int i = 0; i < 40; i++) {
		must(ebpf_set(&t[0], TUNSETSTEERINGEBPF, bpf_constant(i * 9999999)));
		frame_send(&t[0], NULL, i);
	}
	for (int i = 0; i < 3; i++)
		frames_say(&t[i]);
	tun_close(&t[1]);
	say_call(ebpf_set(&t[2], TUNSETSTEERINGEBPF, bpf_first_byte()));
	for (int i = 0; i < 256; i += 5)
		frame_send(&t[0], NULL, i);
	frames_say(&t[0]);
	frames_say(&t[2]);
}

TEST(a_program_steers_as_on_tun)
{
	both(steered);
}

TEST(a_program_chooses_the_queue)
{
	struct tun a = tap_up(IFF_MULTI_QUEUE);
	struct tun b = tun_open(a.name, IFF_TAP | IFF_MULTI_QUEUE);

	must(ebpf_set(&a, TUNSETSTEERINGEBPF, bpf_first_byte()));
	for (int i = 0; i < 10; i++)
		frame_send(&a, NULL, 1);
	expect_eq(frames_count(&a), 0);
	expect_eq(frames_count(&b), 10);
	for (int i = 0; i < 10; i++)
		frame_send(&a, NULL, 2);
	expect_eq(frames_count(&a), 10);
	expect_eq(frames_count(&b), 0);
	must(ebpf_set(&a, TUNSETSTEERINGEBPF, -1));
	for (int i = 0; i < 10; i++)
		frame_send(&a, NULL, i);
	/* One flow, one queue, whatever the frames say. */
	expect(!!frames_count(&a) != !!frames_count(&b));
}
