// SPDX-License-Identifier: MIT
/* The tracepoints: what happened to which queue at which position. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bpf.h"
#include "check.h"
#include "iface.h"
#include "mode.h"
#include "packet.h"
#include "ring.h"
#include "segment.h"
#include "tun.h"

#define TRACING "/sys/kernel/tracing/"

static void trace_clear(void)
{
	close(must(open(TRACING "trace", O_WRONLY | O_TRUNC)));
}

static void trace_on(void)
{
	trace_clear();
	must(write_file(TRACING "events/mytun/enable", "1"));
}

/* A line of the trace that ends so. */
static bool traced(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static bool traced(const char *fmt, ...)
{
	char want[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(want, sizeof(want), fmt, args);
	va_end(args);
	return strstr(read_file(TRACING "trace"), want);
}

static void trace_off(void)
{
	must(write_file(TRACING "events/mytun/enable", "0"));
}

/* Records that softirq was given, by what the core traces of it. */
static unsigned int polled(const char *name)
{
	const char *line = read_file(TRACING "trace");
	unsigned int work, sum = 0;
	char device[32];

	while ((line = strstr(line, " for device "))) {
		if (sscanf(line, " for device %31s work %u", device, &work) == 2 &&
		    !strcmp(device, name))
			sum += work;
		line++;
	}
	return sum;
}

TEST(the_doorbells_caller_takes_4096_records_up_and_softirq_the_rest)
{
	struct tun t = tap_up(0);
	struct ring r = ring_new(t.fd, ring_args(1 << 20));

	inject(t.fd, MYTUN_INJECT_DIRECT);
	/* The look for early records, which is softirq's, is over, and with it the claim. */
	ring_tx(&r, 100);
	ring_tx_flush(&r);
	sleep_ms(20);
	trace_clear();
	must(write_file(TRACING "events/napi/napi_poll/enable", "1"));
	for (int i = 0; i < 4096 + 900; i++)
		ring_tx(&r, 100);
	ring_tx_publish(&r);
	must(ring_doorbell(&r));
	eventually(load_acquire(&r.tx_cons->pos) == r.tx);
	/* The trace has it when the poll is over. */
	eventually(polled(t.name) == 900);
	must(write_file(TRACING "events/napi/napi_poll/enable", "0"));
}

TEST(a_super_packet_of_many_pieces_is_worth_many_records)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ring r = ring_new(t.fd, ring_args(1 << 20));
	struct conn c = conn_here(AF_INET6);
	static uint8_t payload[65535 - 20];
	struct packet p;

	sleep_ms(20);
	trace_clear();
	must(write_file(TRACING "events/napi/napi_poll/enable", "1"));
	/* Each of them is all that a poll may do. */
	for (int i = 0; i < 8; i++) {
		segment(&p, &c, TH_ACK, payload, sizeof(payload));
		super_frame(&r, &p, VIRTIO_NET_HDR_GSO_TCPV6, 8);
	}
	ring_tx_flush(&r);
	eventually(polled(t.name) == 8 * 64);
	must(write_file(TRACING "events/napi/napi_poll/enable", "0"));
	expect_eq(r.tx_cons->drops, 0);
}

static void wait_for_record(void *arg)
{
	ring_rx_wait(arg);
}

TEST(wake_ups_and_doorbells_are_traced)
{
	struct tun t = tap_up(0);
	struct ring r = ring_small(t.fd);
	struct mytun_rec *rec;
	uint32_t end;
	pid_t pid;

	trace_on();
	/* Somebody has to wait for it to be a wake-up. */
	pid = spawn(wait_for_record, &r);
	wait_asleep(pid);
	frame_send(&t, NULL, 1);
	spawn_wait(pid);
	rec = ring_rx(&r);
	expect(rec);
	end = r.rx + rec->size;
	trace_off();
	expect(traced("mytun_rx_wakeup: dev=%s queue=0 pos=%u\n", t.name, end));

	trace_on();
	must(ring_doorbell(&r));
	trace_off();
	expect(traced("mytun_doorbell: dev=%s queue=0 pos=0\n", t.name));
}

static void *ring_early(void *arg)
{
	const struct tun *t = arg;

	while (ioctl(t->fd, MYTUN_IOC_DOORBELL, MYTUN_DOORBELL_TX))
		if (errno != EINVAL)
			fail("doorbell: %s", strerrorname(errno));
	return NULL;
}

/* They are the queue's before NAPI has it. */
TEST(what_is_early_for_new_rings_is_traced)
{
	trace_on();
	for (int i = 0; i < 20; i++) {
		struct tun t = tap_up(0);
		pthread_t thread;

		pthread_create(&thread, NULL, ring_early, &t);
		ring_small(t.fd);
		pthread_join(thread, NULL);
		expect(traced("mytun_doorbell: dev=%s queue=0 pos=0\n", t.name));
		tun_close(&t);
	}
	trace_off();
}

TEST(drops_are_traced)
{
	struct tun t = tap_up(0);
	struct ring r = ring_small(t.fd);

	trace_on();
	while (!iface_stats(t.name).tx_dropped)
		frame_send(&t, NULL, 1);
	trace_off();
	expect(traced("mytun_rx_drop: dev=%s queue=0 pos=%u len=100\n", t.name,
		      load_acquire(&r.rx_prod->pos)));

	trace_on();
	ring_tx(&r, 5); /* shorter than an Ethernet header */
	ring_tx_flush(&r);
	trace_off();
	expect(traced("mytun_tx_drop: dev=%s queue=0 pos=0 len=5\n", t.name));
}

TEST(faults_are_traced)
{
	struct tun t = tap_up(0), u = tun_open("other", IFF_TAP);
	struct ring r = ring_small(t.fd), s = ring_small(u.fd);

	trace_on();
	/* More than there is in the ring. */
	store_release(&r.tx_prod->pos, r.g.tx_size + MYTUN_REC_ALIGN);
	ring_expect_fault(&r);
	trace_off();
	expect(traced("mytun_tx_fault: dev=%s queue=0 pos=0\n", t.name));

	iface_up_bare(u.name);
	trace_on();
	store_release(&s.rx_cons->pos, s.g.rx_size * 2);
	for (unsigned int i = 0; i < s.g.rx_size / 100; i++)
		frame_send(&u, "\2\0\0\0\0\1", 1);
	trace_off();
	expect(traced("mytun_rx_fault: dev=other queue=0 pos=%u\n",
		      load_acquire(&s.rx_prod->pos)));
}

static void drop_reason(const struct tun *t, const char *reason)
{
	trace_clear();
	/* Only frames of ours: others are freed all the time. */
	must(write_file(TRACING "events/skb/kfree_skb/filter", "protocol == 0x88b5"));
	must(write_file(TRACING "events/skb/kfree_skb/enable", "1"));
	frame_send(t, NULL, 1);
	must(write_file(TRACING "events/skb/kfree_skb/enable", "0"));
	must(write_file(TRACING "events/skb/kfree_skb/filter", "0"));
	expect(traced("reason: %s", reason));
}

TEST(drops_of_filters_have_their_reason)
{
	struct {
		struct tun_filter f;
		uint8_t addr[6];
	} elsewhere = { .f.count = 1 };
	struct tun t = tap_up(0);

	if (!strstr(read_file(TRACING "events/skb/kfree_skb/format"), "reason"))
		skip("this kernel has no reasons of drops");
	must(ebpf_set(&t, TUNSETFILTEREBPF, bpf_constant(0)));
	drop_reason(&t, "TAP_FILTER");
	must(ioctl(t.fd, TUNATTACHFILTER, cbpf_constant(0)));
	drop_reason(&t, "SOCKET_FILTER");
	must(ioctl(t.fd, TUNSETTXFILTER, &elsewhere));
	drop_reason(&t, "TAP_TXFILTER");
}

TEST(drops_for_want_of_room_have_their_reason)
{
	struct tun t = tap_up(0), u = tun_open("other", IFF_TAP);
	struct ring r = ring_small(t.fd);

	if (!strstr(read_file(TRACING "events/skb/kfree_skb/format"), "reason"))
		skip("this kernel has no reasons of drops");
	while (!iface_stats(t.name).tx_dropped)
		frame_send(&t, NULL, 1);
	drop_reason(&t, "FULL_RING");
	expect(ring_rx_drain(&r));

	must(iface_set_txqueuelen(u.name, 3));
	iface_up_bare(u.name);
	while (!iface_stats(u.name).tx_dropped)
		frame_send(&u, "\2\0\0\0\0\1", 1);
	drop_reason(&u, "FULL_RING");
}
