// SPDX-License-Identifier: MIT
/* Which frames reach the program: addresses, classic BPF, extended BPF. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "both.h"
#include "bpf.h"
#include "check.h"
#include "iface.h"
#include "packet.h"
#include "ring.h"
#include "super.h"
#include "tun.h"

/* Addresses: 02:..:00 and so on are hosts, 01:..:00 and so on groups. */
static const uint8_t *host(int n)
{
	static uint8_t mac[6];

	memcpy(mac, (uint8_t[6]){ 2, 0, 0, 0, 0, n }, sizeof(mac));
	return mac;
}

static const uint8_t *group(int n)
{
	static uint8_t mac[6];

	memcpy(mac, (uint8_t[6]){ 1, 0, 0, 0, 0, n }, sizeof(mac));
	return mac;
}

/* TUNSETTXFILTER with so many hosts and, behind them, groups; what it returned. */
static int set_addresses(const struct tun *t, int flags, int hosts, int groups)
{
	static union {
		struct tun_filter f;
		uint8_t bytes[sizeof(struct tun_filter) + 6 * 1024];
	} u;
	uint8_t *addr = u.bytes + sizeof(u.f);

	u.f.flags = flags;
	u.f.count = hosts + groups;
	for (int i = 0; i < hosts; i++, addr += 6)
		memcpy(addr, host(i), 6);
	for (int i = 0; i < groups; i++, addr += 6)
		memcpy(addr, group(i), 6);
	return ioctl(t->fd, TUNSETTXFILTER, &u);
}

static void send_to_everybody(const struct tun *t)
{
	for (int i = 0; i < 12; i++)
		frame_send(t, host(i), 1);
	for (int i = 0; i < 80; i++)
		frame_send(t, group(i), 1);
	frame_send(t, "\xff\xff\xff\xff\xff\xff", 1);
}

static void addresses(void)
{
	struct tun t = tap_up(0);

	say_call(set_addresses(&t, 0, 0, 0));
	send_to_everybody(&t);
	frames_say(&t);
	say_call(set_addresses(&t, 0, 3, 0));
	send_to_everybody(&t);
	frames_say(&t);
	say_call(set_addresses(&t, 0, 2, 2));
	send_to_everybody(&t);
	frames_say(&t);
	say_call(set_addresses(&t, 0, 7, 20));
	send_to_everybody(&t);
	frames_say(&t);
	say_call(set_addresses(&t, TUN_FLT_ALLMULTI, 1, 0));
	send_to_everybody(&t);
	frames_say(&t);
	say_call(set_addresses(&t, 0xfffe, 1, 0));
	send_to_everybody(&t);
	frames_say(&t);
	/* More hosts than are compared: no filter. */
	say_call(set_addresses(&t, 0, 9, 0));
	send_to_everybody(&t);
	frames_say(&t);
}

TEST(addresses_pass_as_on_tun)
{
	both(addresses);
}

TEST(only_the_addresses_that_were_named_pass)
{
	struct tun t = tap_up(0);

	expect_eq(set_addresses(&t, 0, 2, 0), 2);
	send_to_everybody(&t);
	expect_eq(frames_count(&t), 2);
	expect_eq(iface_stats(t.name).tx_dropped, 12 + 80 + 1 - 2);
	expect_eq(set_addresses(&t, TUN_FLT_ALLMULTI, 2, 0), 2);
	send_to_everybody(&t);
	expect_eq(frames_count(&t), 2 + 80 + 1);
	expect_eq(set_addresses(&t, 0, 0, 0), 0);
	send_to_everybody(&t);
	expect_eq(frames_count(&t), 12 + 80 + 1);
}

TEST(addresses_that_cannot_be_read_change_nothing)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct tun_filter *end = (struct tun_filter *)(page + 4096) - 1;
	struct tun t = tap_up(0);

	expect(page != MAP_FAILED);
	munmap(page + 4096, 4096);
	expect_eq(set_addresses(&t, 0, 1, 0), 1);
	end->count = 1;
	expect_errno(ioctl(t.fd, TUNSETTXFILTER, end), EFAULT);
	expect_errno(ioctl(t.fd, TUNSETTXFILTER, NULL), EFAULT);
	send_to_everybody(&t);
	expect_eq(frames_count(&t), 1);
}

static void classic(void)
{
	static struct sock_filter bad = { 0xffff, 0, 0, 0 };
	struct sock_fprog p = { 1, &bad };
	struct tun t = tap_up(0);
	struct ifreq ifr = {};

	say_call(ioctl(t.fd, TUNATTACHFILTER, &cbpf_first_byte));
	must(ioctl(t.fd, TUNGETIFF, &ifr));
	say("%#x", (unsigned short)ifr.ifr_flags);
	for (int keep = 0; keep < 120; keep += 10)
		frame_send(&t, NULL, keep);
	frames_say(&t);
	memset(&p, 0, sizeof(p));
	say_call(ioctl(t.fd, TUNGETFILTER, &p));
	say("%u %d", p.len, p.filter == cbpf_first_byte.filter);

	/* What is refused leaves the old one at work, and is what is told. */
	p = (struct sock_fprog){ 1, &bad };
	say_call(ioctl(t.fd, TUNATTACHFILTER, &p));
	p = (struct sock_fprog){ 0, &bad };
	say_call(ioctl(t.fd, TUNATTACHFILTER, &p));
	p = (struct sock_fprog){ 5000, &bad };
	say_call(ioctl(t.fd, TUNATTACHFILTER, &p));
	p = (struct sock_fprog){ 7, NULL };
	say_call(ioctl(t.fd, TUNATTACHFILTER, &p));
	p = (struct sock_fprog){ 7, (struct sock_filter *)8 };
	say_call(ioctl(t.fd, TUNATTACHFILTER, &p));
	memset(&p, 0, sizeof(p));
	say_call(ioctl(t.fd, TUNGETFILTER, &p));
	say("%u %p", p.len, p.filter);
	frame_send(&t, NULL, 0);
	frame_send(&t, NULL, 70);
	frames_say(&t);

	say_call(ioctl(t.fd, TUNATTACHFILTER, cbpf_constant(~0U)));
	frame_send(&t, NULL, 0);
	frames_say(&t);
	say_call(ioctl(t.fd, TUNATTACHFILTER, cbpf_constant(0)));
	frame_send(&t, NULL, 200);
	frames_say(&t);
	say_call(ioctl(t.fd, TUNDETACHFILTER, 0));
	say_call(ioctl(t.fd, TUNDETACHFILTER, 0));
	must(ioctl(t.fd, TUNGETIFF, &ifr));
	say("%#x", (unsigned short)ifr.ifr_flags);
	frame_send(&t, NULL, 0);
	frames_say(&t);
}

TEST(a_classic_program_filters_as_on_tun)
{
	both(classic);
}

TEST(a_classic_program_that_cannot_be_read_changes_nothing)
{
	struct tun t = tap_up(0);
	struct sock_fprog p = {};

	must(ioctl(t.fd, TUNATTACHFILTER, &cbpf_first_byte));
	expect_errno(ioctl(t.fd, TUNATTACHFILTER, NULL), EFAULT);
	must(ioctl(t.fd, TUNGETFILTER, &p));
	expect_eq(p.len, cbpf_first_byte.len);
	expect(p.filter == cbpf_first_byte.filter);
	frame_send(&t, NULL, 0);
	expect_eq(frames_count(&t), 0);
}

TEST(a_classic_program_drops_and_cuts)
{
	uint8_t frame[200];
	struct tun t = tap_up(0);

	must(ioctl(t.fd, TUNATTACHFILTER, &cbpf_first_byte));
	frame_send(&t, NULL, 0);
	frame_send(&t, NULL, 50);
	frame_send(&t, NULL, 200);
	expect_eq(read(t.fd, frame, sizeof(frame)), 50);
	expect_eq(read(t.fd, frame, sizeof(frame)), 100);
	expect_eq(frames_count(&t), 0);
	expect_eq(iface_stats(t.name).tx_dropped, 1);
}

/* One more queue; IFF_NO_PI and IFF_NOFILTER are the same bit. */
static struct tun another(const char *name, int flags)
{
	struct tun t = { .fd = tun_open_file(), .tap = true };
	struct ifreq ifr;

	must(tun_set_iff(t.fd, name, IFF_TAP | flags, &ifr));
	memcpy(t.name, ifr.ifr_name, IFNAMSIZ);
	return t;
}

/* Steers all frames to a queue, and asks whether they come. */
static bool filtered(const struct tun *t, int queue)
{
	int prog = bpf_constant(queue);

	must(ioctl(t->fd, TUNSETSTEERINGEBPF, &prog));
	close(prog);
	frame_send(t, NULL, 1);
	return !frames_count(t);
}

/* On the built-in tun a queue that comes later is not even attached: TUNSETIFF says 0. */
TEST(a_queue_that_comes_later_has_the_filter)
{
	struct tun a = tap_up(IFF_MULTI_QUEUE), b, c;

	must(ioctl(a.fd, TUNATTACHFILTER, cbpf_constant(0)));
	b = another(a.name, IFF_MULTI_QUEUE);
	c = another(a.name, IFF_MULTI_QUEUE | IFF_NOFILTER);
	expect(filtered(&a, 0) && filtered(&b, 1) && !filtered(&c, 2));
	/* One more, for all. */
	must(ioctl(b.fd, TUNATTACHFILTER, cbpf_constant(0)));
	expect(filtered(&a, 0) && filtered(&b, 1) && filtered(&c, 2));
	must(ioctl(c.fd, TUNDETACHFILTER, 0));
	expect(!filtered(&a, 0) && !filtered(&b, 1) && !filtered(&c, 2));
}

static bool says_filtered(const struct tun *t)
{
	struct ifreq ifr = {};

	must(ioctl(t->fd, TUNGETIFF, &ifr));
	return !(ifr.ifr_flags & IFF_NOFILTER);
}

TEST(a_filter_stays_with_a_persistent_interface)
{
	struct tun t = tap_up(0);

	must(ioctl(t.fd, TUNATTACHFILTER, cbpf_constant(0)));
	must(ioctl(t.fd, TUNSETPERSIST, 1));
	tun_close(&t);
	t = another(t.name, 0);
	expect(filtered(&t, 0));
	expect(says_filtered(&t));
	tun_close(&t);

	t = another("tap0", IFF_NOFILTER);
	expect(!filtered(&t, 0));
	expect(!says_filtered(&t));
	must(ioctl(t.fd, TUNSETPERSIST, 0));
}

TEST(a_queue_back_in_service_has_the_filter)
{
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	struct ifreq on = { .ifr_flags = IFF_ATTACH_QUEUE };
	struct tun t = tap_up(IFF_MULTI_QUEUE);

	must(ioctl(t.fd, TUNSETQUEUE, &off));
	must(ioctl(t.fd, TUNATTACHFILTER, cbpf_constant(0)));
	must(ioctl(t.fd, TUNSETQUEUE, &on));
	expect(filtered(&t, 0));
}

/* The built-in tun tries a program on the queues in service, and finds none. */
TEST(a_bad_program_is_refused_though_no_queue_is_in_service)
{
	struct ifreq off = { .ifr_flags = IFF_DETACH_QUEUE };
	struct tun t = tap_up(IFF_MULTI_QUEUE);
	struct sock_fprog none = {};

	must(ioctl(t.fd, TUNSETQUEUE, &off));
	expect_errno(ioctl(t.fd, TUNATTACHFILTER, &none), EINVAL);
}

/* The built-in tun counts it as the socket's memory, of which there may be less. */
TEST(the_longest_program_is_taken)
{
	struct sock_fprog p = { BPF_MAXINSNS, calloc(BPF_MAXINSNS, sizeof(struct sock_filter)) };
	struct tun t = tap_up(0);

	for (unsigned int i = 0; i < BPF_MAXINSNS; i++)
		p.filter[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	must(ioctl(t.fd, TUNATTACHFILTER, &p));
	frame_send(&t, NULL, 1);
	expect_eq(frames_count(&t), 0);
}

static void extended(void)
{
	struct tun t = tap_up(0);

	say_call(ebpf_set(&t, TUNSETFILTEREBPF, bpf_of_another_type()));
	say_call(ebpf_set(&t, TUNSETFILTEREBPF, open("/dev/null", O_RDONLY)));
	say_call(ebpf_set(&t, TUNSETFILTEREBPF, bpf_first_byte()));
	for (int keep = 0; keep < 120; keep += 10)
		frame_send(&t, NULL, keep);
	frames_say(&t);
	say_call(ebpf_set(&t, TUNSETFILTEREBPF, -2));
	frame_send(&t, NULL, 0);
	frame_send(&t, NULL, 33);
	frames_say(&t);
	say_call(ioctl(t.fd, TUNATTACHFILTER, cbpf_constant(40)));
	frame_send(&t, NULL, 33);
	frame_send(&t, NULL, 66);
	frames_say(&t);
	say_call(ebpf_set(&t, TUNSETFILTEREBPF, -1));
	frame_send(&t, NULL, 0);
	frame_send(&t, NULL, 33);
	frames_say(&t);
	say_call(ebpf_set(&t, TUNSETFILTEREBPF, bpf_constant(~0U)));
	frame_send(&t, NULL, 0);
	frames_say(&t);
}

TEST(an_extended_program_filters_as_on_tun)
{
	both(extended);
}

TEST(an_extended_program_filters_a_tun_interface)
{
	struct tun t = tun_open("", IFF_TUN);
	int prog = bpf_constant(21), raw;
	uint8_t packet[100] = { 0x45 };

	iface_up_bare(t.name);
	raw = raw_socket(t.name);
	must(ioctl(t.fd, TUNSETFILTEREBPF, &prog));
	raw_send(raw, 0x0800, packet, sizeof(packet));
	expect_eq(read(t.fd, packet, sizeof(packet)), 21);
}

TEST(a_program_that_is_replaced_while_it_runs_is_safe)
{
	struct tun t = tap_up(0);
	pid_t pid = fork();

	if (!pid)
		for (;;)
			frame_send(&t, NULL, 1);
	for (int i = 0; i < 200; i++) {
		must(ebpf_set(&t, TUNSETFILTEREBPF, i % 3 ? bpf_first_byte() : -1));
		must(ioctl(t.fd, TUNATTACHFILTER, &cbpf_first_byte));
		must(set_addresses(&t, 0, 8, 100));
		must(ioctl(t.fd, TUNDETACHFILTER, 0));
		must(set_addresses(&t, 0, 0, 0));
	}
}

/* The rings are behind the same filters. */
TEST(packets_of_a_ring_are_filtered)
{
	struct tun t = tap_up(0);
	struct ring r = ring_small(t.fd);
	struct mytun_rec *rec;

	must(set_addresses(&t, 0, 1, 0));
	frame_send(&t, host(1), 200);
	expect(!ring_rx(&r));
	must(ioctl(t.fd, TUNATTACHFILTER, &cbpf_first_byte));
	frame_send(&t, host(0), 0);
	expect(!ring_rx(&r));
	frame_send(&t, host(0), 30);
	rec = ring_rx(&r);
	expect(rec);
	expect_eq(rec->len, 30);
	ring_rx_done(&r);
	must(ebpf_set(&t, TUNSETFILTEREBPF, bpf_constant(20)));
	frame_send(&t, host(0), 30);
	rec = ring_rx(&r);
	expect(rec);
	expect_eq(rec->len, 20);
	ring_rx_done(&r);
	must(ebpf_set(&t, TUNSETFILTEREBPF, bpf_constant(0)));
	frame_send(&t, host(0), 30);
	expect(!ring_rx(&r));
	expect_eq(iface_stats(t.name).tx_dropped, 3);
}

/* Super-packets that the program takes whole, and that a filter then cuts short. */
TEST(what_is_left_of_a_super_packet_is_no_longer_one)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring r = ring_small(t.fd);
	static struct super sent;
	struct mytun_rec *rec;
	int raw;

	iface_up_bare(t.name);
	must(ioctl(t.fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4));
	raw = super_socket(t.name);
	super_new(&sent, (struct super_kind){}, 1000, 4, 1000);
	for (uint32_t keep = 1; keep < 100; keep++) {
		must(ebpf_set(&t, TUNSETFILTEREBPF, bpf_constant(keep)));
		super_send(raw, t.name, &sent);
		rec = ring_rx(&r);
		expect(rec);
		expect_eq(rec->len, keep);
		expect_eq(rec->gso_type, VIRTIO_NET_HDR_GSO_NONE);
		/* Its checksum cannot be finished where its place is gone. */
		if (keep < sent.vnet.csum_start + sent.vnet.csum_offset + 2u)
			expect_eq(rec->vnet_flags, 0);
		ring_rx_done(&r);
	}
}

/* Super-packets that the program does not take: filters see the packets. */
static void super_packets(void)
{
	struct tun t = tun_open("", IFF_TUN);
	static struct super sent;
	uint8_t packet[2000];
	int raw;

	iface_up_bare(t.name);
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	raw = super_socket(t.name);
	super_new(&sent, (struct super_kind){}, 500, 4, 100);
	for (uint32_t keep = 7; keep < 600; keep += 30) {
		must(ebpf_set(&t, TUNSETFILTEREBPF, bpf_constant(keep)));
		super_send(raw, t.name, &sent);
		for (ssize_t n; (n = read(t.fd, packet, sizeof(packet))) > 0;)
			say("%zd bytes", n);
	}
}

TEST(packets_of_a_super_packet_are_filtered_one_by_one)
{
	both(super_packets);
}

TEST(packets_of_a_super_packet_are_filtered_before_they_are_records)
{
	struct tun t = tun_open("", IFF_TUN);
	struct ring r = ring_small(t.fd);
	static struct super sent;
	struct mytun_rec *rec;
	int raw;

	iface_up_bare(t.name);
	raw = super_socket(t.name);
	super_new(&sent, (struct super_kind){}, 500, 4, 100);
	must(ebpf_set(&t, TUNSETFILTEREBPF, bpf_constant(300)));
	super_send(raw, t.name, &sent);
	for (int i = 0; i < 4; i++) {
		rec = ring_rx(&r);
		expect(rec);
		expect_eq(rec->len, i < 3 ? 300 : sent.headers + 100);
		expect_eq(rec->vnet_flags, 0);
		expect_eq(rec->gso_type, 0);
		ring_rx_done(&r);
	}
	expect(!ring_rx(&r));
}
