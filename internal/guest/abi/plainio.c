// SPDX-License-Identifier: MIT
/* A packet a read(2), a packet a write(2), as on /dev/net/tun. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "both.h"
#include "check.h"
#include "iface.h"
#include "packet.h"
#include "records.h"
#include "segment.h"
#include "tun.h"

/* Up, with other headers than tun_open()'s none. */
static struct tun with_headers(int flags)
{
	struct tun t = { .fd = tun_open_file(), .tap = flags & IFF_TAP };
	struct ifreq ifr;

	must(tun_set_iff(t.fd, "", flags, &ifr));
	memcpy(t.name, ifr.ifr_name, IFNAMSIZ);
	iface_up(t.name);
	return t;
}

static void both_ways(int flags, int family)
{
	static const size_t sizes[] = { 0, 1, 17, 100, 1400, 4000, 9000, 65507 - 40 };
	struct tun t = tun_open("", flags);
	static uint8_t payload[65536], sent[1 << 17];
	size_t headers = (t.tap ? ETH : 0) + (family == AF_INET ? UDP4 : UDP6);
	static struct packet p;
	int udp, capture;
	uint16_t proto;

	iface_set_mtu(t.name, 65521);
	iface_up(t.name);
	udp = udp_here(family);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(payload, sizes[i], i);
		packet_inbound(&p, &t, family, payload, sizes[i]);
		expect_eq(must(write(t.fd, p.bytes, p.len)), p.len);
		udp_expect(udp, payload, sizes[i]);
	}
	capture = raw_socket(t.name);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(payload, sizes[i], i);
		udp_send(udp, payload, sizes[i]);
		expect_eq(must(read(t.fd, p.bytes, sizeof(p.bytes))), headers + sizes[i]);
		expect_eq(raw_capture(capture, sent, sizeof(sent), &proto), headers + sizes[i]);
		expect(!memcmp(p.bytes, sent, headers + sizes[i]));
	}
	expect_eq(iface_stats(t.name).rx_packets, ARRAY_SIZE(sizes));
	expect_eq(iface_stats(t.name).tx_packets, ARRAY_SIZE(sizes));
}

TEST(ipv4_datagrams_both_ways_on_tun)
{
	both_ways(IFF_TUN, AF_INET);
}

TEST(ipv6_datagrams_both_ways_on_tun)
{
	both_ways(IFF_TUN, AF_INET6);
}

TEST(ipv4_datagrams_both_ways_on_tap)
{
	both_ways(IFF_TAP, AF_INET);
}

TEST(ipv6_datagrams_both_ways_on_tap)
{
	both_ways(IFF_TAP, AF_INET6);
}

TEST(the_packet_information_header_is_read)
{
	struct tun t = with_headers(IFF_TUN);
	int udp4 = udp_here(AF_INET), udp6 = udp_here(AF_INET6);
	struct {
		struct tun_pi pi;
		uint8_t packet[200];
	} r;

	memset(&r, 0xff, sizeof(r));
	udp_send(udp4, "abc", 3);
	expect_eq(must(read(t.fd, &r, sizeof(r))), sizeof(r.pi) + UDP4 + 3);
	expect_eq(r.pi.flags, 0);
	expect_eq(r.pi.proto, htons(ETHERTYPE_IP));
	expect_eq(r.packet[0], 0x45);
	udp_send(udp6, "abc", 3);
	expect_eq(must(read(t.fd, &r, sizeof(r))), sizeof(r.pi) + UDP6 + 3);
	expect_eq(r.pi.proto, htons(ETHERTYPE_IPV6));
}

TEST(the_packet_information_header_is_written)
{
	struct tun t = with_headers(IFF_TUN);
	struct tun_pi pi = { .proto = htons(ETHERTYPE_IP) };
	int udp = udp_here(AF_INET);
	struct iovec iov[2] = { { &pi, sizeof(pi) } };
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "abc", 3);
	iov[1] = (struct iovec){ p.bytes, p.len };
	expect_eq(must(writev(t.fd, iov, 2)), sizeof(pi) + p.len);
	udp_expect(udp, "abc", 3);
	pi.proto = htons(ETHERTYPE_IPV6); /* it decides, not the packet */
	must(writev(t.fd, iov, 2));
	udp_expect_none(udp);
	expect_errno(write(t.fd, &pi, 3), EINVAL);
}

TEST(a_short_buffer_gets_the_beginning_and_is_told)
{
	struct tun t = with_headers(IFF_TUN);
	int udp = udp_here(AF_INET);
	struct {
		struct tun_pi pi;
		uint8_t packet[200];
	} r;

	memset(&r, 0xee, sizeof(r));
	udp_send(udp, "0123456789", 10);
	udp_send(udp, "next", 4);
	expect_eq(must(read(t.fd, &r, sizeof(r.pi) + 20)), sizeof(r.pi) + 20);
	expect_eq(r.pi.flags, TUN_PKT_STRIP);
	expect_eq(r.packet[0], 0x45);
	expect_eq(r.packet[20], 0xee);
	/* The rest is gone. */
	expect_eq(must(read(t.fd, &r, sizeof(r))), sizeof(r.pi) + UDP4 + 4);
	expect_eq(r.pi.flags, 0);
	udp_send(udp, "0123456789", 10);
	expect_eq(must(read(t.fd, &r, sizeof(r.pi) + UDP4 + 10)), sizeof(r.pi) + UDP4 + 10);
	expect_eq(r.pi.flags, 0);
	udp_send(udp, "0123456789", 10);
	expect_errno(read(t.fd, &r, 3), EINVAL);
}

TEST(a_short_buffer_without_headers_gets_the_beginning)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	uint8_t buf[100];

	memset(buf, 0xee, sizeof(buf));
	udp_send(udp, "0123456789", 10);
	expect_eq(must(read(t.fd, buf, 21)), 21);
	expect_eq(buf[21], 0xee);
	udp_send(udp, "next", 4);
	expect_eq(must(read(t.fd, buf, sizeof(buf))), UDP4 + 4);
}

/* The tag stands beside the packet until it is read. */
TEST(a_short_buffer_may_end_before_within_or_behind_a_tag)
{
	struct tun t = tun_open_up(IFF_TAP);
	int udp = vlan_socket(t.name);
	uint8_t whole[100], buf[100];
	ssize_t n;

	if (udp < 0)
		skip("no VLAN interfaces");
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	udp_send(udp, "tagged", 6);
	n = must(read(t.fd, whole, sizeof(whole)));
	expect_eq(n, ETH + 4 + UDP4 + 6);
	expect(!memcmp(whole + 12, "\x81\x00\x00\x07\x08\x00\x45", 7));
	for (ssize_t len = 1; len <= n; len++) {
		memset(buf, 0xee, sizeof(buf));
		udp_send(udp, "tagged", 6);
		expect_eq(must(read(t.fd, buf, len)), len);
		/* What comes behind is another's ID, and its sum. */
		expect(!memcmp(buf, whole, len < 22 ? len : 22));
		expect_eq(buf[len], 0xee);
	}
}

static void virtio_header(int size)
{
	struct tun t = with_headers(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	int udp = udp_here(AF_INET);
	struct virtio_net_hdr h = {};
	uint8_t buf[200];
	struct packet p;
	struct iovec iov[3];
	uint8_t zeros[64] = {};

	if (size != sizeof(h))
		must(ioctl(t.fd, TUNSETVNETHDRSZ, &size));
	memset(buf, 0xff, sizeof(buf));
	udp_send(udp, "whole", 5);
	expect_eq(must(read(t.fd, buf, sizeof(buf))), size + UDP4 + 5);
	memcpy(&h, buf, sizeof(h));
	expect_eq(h.flags | h.gso_type | h.hdr_len | h.gso_size | h.csum_start | h.csum_offset,
		  0);
	expect_eq(buf[size], 0x45);

	must(ioctl(t.fd, TUNSETOFFLOAD, TUN_F_CSUM));
	udp_send(udp, "part", 4);
	expect_eq(must(read(t.fd, buf, sizeof(buf))), size + UDP4 + 4);
	memcpy(&h, buf, sizeof(h));
	expect_eq(h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	expect_eq(h.csum_start, 20);
	expect_eq(h.csum_offset, 6);

	packet_inbound(&p, &t, AF_INET, "abc", 3);
	p.bytes[26] ^= 0x55;
	iov[0] = (struct iovec){ &h, sizeof(h) };
	iov[1] = (struct iovec){ zeros, size - sizeof(h) };
	iov[2] = (struct iovec){ p.bytes, p.len };
	expect_eq(must(writev(t.fd, iov, 3)), size + p.len);
	udp_expect(udp, "abc", 3);
	h.flags = 0;
	must(writev(t.fd, iov, 3));
	udp_expect_none(udp);
	/* Bad ones. */
	expect_errno(write(t.fd, zeros, size - 1), EINVAL);
	h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h.csum_start = p.len;
	expect_errno(writev(t.fd, iov, 3), EINVAL);
	h.flags = 0;
	h.gso_type = 0x7f;
	h.gso_size = 100;
	expect_errno(writev(t.fd, iov, 3), EINVAL);
	expect(iface_stats(t.name).rx_frame_errors >= 1);
}

TEST(the_virtio_header_is_read_and_written)
{
	virtio_header(10);
}

TEST(the_virtio_header_can_be_longer)
{
	virtio_header(12);
	netns_new();
	virtio_header(20);
}

static ssize_t write_super(const struct tun *t, const struct packet *p, uint8_t gso_type,
			   uint16_t gso_size)
{
	bool tcp = gso_type != VIRTIO_NET_HDR_GSO_UDP_L4;
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				    .gso_type = gso_type,
				    .hdr_len = tcp ? TCP4 : UDP4,
				    .gso_size = gso_size,
				    .csum_start = 20,
				    .csum_offset = tcp ? 16 : 6 };
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)p->bytes, p->len } };

	return writev(t->fd, iov, 2);
}

TEST(a_burst_of_udp_can_be_written)
{
	struct tun t = with_headers(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	int udp = udp_here(AF_INET);
	uint8_t payload[1000];
	struct packet p;

	fill(payload, sizeof(payload), 1);
	packet_inbound(&p, &t, AF_INET, payload, sizeof(payload));
	must(write_super(&t, &p, VIRTIO_NET_HDR_GSO_UDP_L4, 400));
	for (size_t at = 0; at < sizeof(payload); at += 400)
		udp_expect(udp, payload + at, at < 800 ? 400 : 200);
}

/* The built-in driver takes these; whoever cuts them later relies on more than it looks at. */
TEST(super_packets_must_be_what_they_say)
{
	struct tun t = with_headers(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	struct conn c = conn_here(AF_INET);
	uint8_t payload[3000] = {};
	struct packet p;

	segment(&p, &c, TH_ACK, payload, sizeof(payload));
	must(write_super(&t, &p, VIRTIO_NET_HDR_GSO_TCPV4, 1400));
	expect_errno(write_super(&t, &p, VIRTIO_NET_HDR_GSO_TCPV6, 1400), EINVAL);
	p.bytes[6] = 0x20; /* more fragments follow */
	expect_errno(write_super(&t, &p, VIRTIO_NET_HDR_GSO_TCPV4, 1400), EINVAL);
	p.bytes[6] = 0x40;
	p.bytes[9] = IPPROTO_IPIP;
	expect_errno(write_super(&t, &p, VIRTIO_NET_HDR_GSO_TCPV4, 1400), EINVAL);
	expect_eq(iface_stats(t.name).rx_frame_errors, 3);
	expect_eq(iface_stats(t.name).rx_packets, 1);
}

TEST(checksums_begin_behind_the_ethernet_header)
{
	struct tun t = with_headers(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM };
	int udp = udp_here(AF_INET);
	struct packet p;
	struct iovec iov[2] = { { &h, sizeof(h) } };

	packet_inbound(&p, &t, AF_INET, "abc", 3);
	iov[1] = (struct iovec){ p.bytes, p.len };
	h.csum_start = ETH - 1;
	h.csum_offset = 20 + 6 + 1;
	expect_errno(writev(t.fd, iov, 2), EINVAL);
	expect_eq(iface_stats(t.name).rx_frame_errors, 1);
	h.csum_start = ETH + 20;
	h.csum_offset = 6;
	must(writev(t.fd, iov, 2));
	udp_expect(udp, "abc", 3);
}

TEST(packets_can_be_in_pieces)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	uint8_t payload[1000];
	struct iovec iov[20];
	struct packet p, q;
	size_t at = 0;
	int n = 0;

	fill(payload, sizeof(payload), 1);
	packet_inbound(&p, &t, AF_INET, payload, sizeof(payload));
	for (size_t len = 1; at < p.len; at += len, len = len * 2 + 1, n++) {
		if (len > p.len - at)
			len = p.len - at;
		iov[n] = (struct iovec){ p.bytes + at, len };
	}
	expect_eq(must(writev(t.fd, iov, n)), p.len);
	udp_expect(udp, payload, sizeof(payload));

	udp_send(udp, payload, sizeof(payload));
	for (int i = 0; i < n; i++)
		iov[i].iov_base = q.bytes + ((uint8_t *)iov[i].iov_base - p.bytes);
	expect_eq(must(readv(t.fd, iov, n)), p.len);
	expect(!memcmp(q.bytes + UDP4, payload, sizeof(payload)));
}

TEST(packets_that_are_none_are_refused)
{
	struct tun t = tun_open_up(IFF_TUN), e = tun_open("", IFF_TAP);
	uint8_t buf[100] = { 0x55 };

	iface_up(e.name);
	expect_errno(write(t.fd, buf, sizeof(buf)), EINVAL);
	buf[0] = 0;
	expect_errno(write(t.fd, buf, sizeof(buf)), EINVAL);
	expect_errno(write(t.fd, buf, 0), EINVAL);
	expect_errno(write(e.fd, buf, 13), EINVAL);
}

TEST(bad_buffers_are_efault)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	char *bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect_errno(write(t.fd, bad, 100), EFAULT);
	udp_send(udp, "abc", 3);
	/* It is gone, and counted. */
	expect_errno(read(t.fd, bad, 100), EFAULT);
	expect_eq(iface_stats(t.name).tx_dropped, 1);
}

TEST(a_file_without_an_interface_is_ebadfd)
{
	int fd = tun_open_file();
	char buf[100];

	expect_errno(read(fd, buf, sizeof(buf)), EBADFD);
	expect_errno(write(fd, buf, sizeof(buf)), EBADFD);
}

TEST(writing_to_an_interface_that_is_down_is_eio)
{
	struct tun t = tun_open("", IFF_TUN);
	struct packet p;

	packet_inbound(&p, &t, AF_INET, "abc", 3);
	expect_errno(write(t.fd, p.bytes, p.len), EIO);
	iface_up(t.name);
	must(write(t.fd, p.bytes, p.len));
	iface_down(t.name);
	expect_errno(write(t.fd, p.bytes, p.len), EIO);
	expect_eq(iface_stats(t.name).rx_dropped, 2);
}

TEST(a_nonblocking_file_says_eagain)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	char buf[100];

	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	expect_errno(read(t.fd, buf, sizeof(buf)), EAGAIN);
	udp_send(udp, "abc", 3);
	expect_eq(must(read(t.fd, buf, sizeof(buf))), UDP4 + 3);
	expect_errno(read(t.fd, buf, sizeof(buf)), EAGAIN);
}

static void send_when_asleep(void *arg)
{
	wait_asleep(getppid());
	udp_send(*(int *)arg, "abc", 3);
}

TEST(a_blocking_reader_waits_for_a_packet)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	pid_t child = spawn(send_when_asleep, &udp);
	char buf[100];

	expect_eq(must(read(t.fd, buf, sizeof(buf))), UDP4 + 3);
	spawn_wait(child);
}

static void signal_when_asleep(void *arg)
{
	(void)arg;
	wait_asleep(getppid());
	kill(getppid(), SIGUSR1);
}

static void nothing(int sig)
{
	(void)sig;
}

TEST(a_signal_interrupts_a_reader)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct sigaction sa = { .sa_handler = nothing };
	char buf[100];
	pid_t child;

	must(sigaction(SIGUSR1, &sa, NULL));
	child = spawn(signal_when_asleep, NULL);
	expect_errno(read(t.fd, buf, sizeof(buf)), EINTR);
	spawn_wait(child);
}

TEST(poll_tells_packets_and_room)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct pollfd p = { .fd = t.fd, .events = POLLIN | POLLOUT };
	int udp = udp_here(AF_INET);
	pid_t child;
	char buf[100];

	expect_eq(must(poll(&p, 1, 0)), 1);
	expect_eq(p.revents, POLLOUT);
	udp_send(udp, "abc", 3);
	expect_eq(must(poll(&p, 1, 0)), 1);
	expect_eq(p.revents, POLLIN | POLLOUT);
	must(read(t.fd, buf, sizeof(buf)));
	p.events = POLLIN;
	expect_eq(must(poll(&p, 1, 0)), 0);
	child = spawn(send_when_asleep, &udp);
	expect_eq(must(poll(&p, 1, 10000)), 1);
	spawn_wait(child);
	iface_down(t.name);
	p.events = POLLOUT;
	expect_eq(must(poll(&p, 1, 0)), 0);
}

TEST(edge_triggered_epoll_comes_up_at_each_packet)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	int udp = udp_here(AF_INET), ep = must(epoll_create1(0));

	must(epoll_ctl(ep, EPOLL_CTL_ADD, t.fd, &e));
	expect_eq(must(epoll_wait(ep, &e, 1, 0)), 0);
	for (int i = 0; i < 5; i++) {
		udp_send(udp, "abc", 3);
		expect_eq(must(epoll_wait(ep, &e, 1, 0)), 1);
		expect_eq(must(epoll_wait(ep, &e, 1, 0)), 0);
	}
}

static volatile sig_atomic_t sigio;

static void on_sigio(int sig)
{
	sigio += sig == SIGIO;
}

TEST(a_packet_sends_sigio)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);

	signal(SIGIO, on_sigio);
	must(fcntl(t.fd, F_SETFL, O_ASYNC));
	udp_send(udp, "abc", 3);
	eventually(sigio == 1);
	must(fcntl(t.fd, F_SETFL, 0));
	udp_send(udp, "abc", 3);
	sleep_ms(10);
	expect_eq(sigio, 1);
}

TEST(packets_that_nobody_reads_are_dropped_and_counted)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	char buf[100];
	int n = 0;

	for (int i = 0; i < 600; i++)
		udp_send(udp, &i, sizeof(i));
	must(fcntl(t.fd, F_SETFL, O_NONBLOCK));
	while (read(t.fd, buf, sizeof(buf)) == UDP4 + 4) {
		expect(!memcmp(buf + UDP4, &n, sizeof(n)));
		n++;
	}
	expect_eq(n, 500);
	expect_eq(iface_stats(t.name).tx_dropped, 100);
	expect_eq(iface_stats(t.name).tx_packets, 500);
}

TEST(a_flow_comes_back_on_the_queue_that_it_was_sent_on)
{
	enum {
		QUEUES = 4
	};
	struct tun t[QUEUES];
	int udp;
	char buf[100];
	struct packet p;

	t[0] = tun_open_up(IFF_TUN | IFF_MULTI_QUEUE);
	for (int i = 0; i < QUEUES; i++) {
		if (i)
			t[i] = tun_open(t[0].name, IFF_TUN | IFF_MULTI_QUEUE);
		must(fcntl(t[i].fd, F_SETFL, O_NONBLOCK));
	}
	udp = udp_here(AF_INET);
	for (int n = 0; n < 20; n++) {
		int i = n % QUEUES;

		packet_inbound(&p, &t[i], AF_INET, "abc", 3);
		must(write(t[i].fd, p.bytes, p.len));
		udp_expect(udp, "abc", 3);
		udp_send(udp, "answer", 6);
		for (int j = 0; j < QUEUES; j++) {
			ssize_t got = read(t[j].fd, buf, sizeof(buf));

			expect_eq(got, i == j ? UDP4 + 6 : -1);
		}
	}
}

/* No checksum tells where the headers end: some kernels try to find out. */
TEST(a_super_packet_without_a_checksum_that_is_none_harms_nobody)
{
	const int kinds[] = { IFF_TUN, IFF_TAP };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct tun t = tun_open_up(kinds[i] | IFF_VNET_HDR);
		struct virtio_net_hdr vnet = { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					       .gso_size = 100 };
		struct packet p;
		struct iovec iov[2];

		packet_inbound(&p, &t, AF_INET, "text", 4);
		iov[0] = (struct iovec){ &vnet, sizeof(vnet) };
		iov[1] = (struct iovec){ p.bytes, p.len };
		if (writev(t.fd, iov, 2) < 0)
			expect_eq(errno, EINVAL);
		tun_close(&t);
	}
}

static void without_a_checksum(void)
{
	const int kinds[] = { IFF_TUN, IFF_TAP };
	uint8_t payload[3000] = {};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct tun t = tun_open_up(kinds[i] | IFF_VNET_HDR);
		struct virtio_net_hdr vnet = { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					       .gso_size = 1400 };
		struct conn c = conn_here(AF_INET);
		struct packet p, frame = { .len = t.tap ? ETH : 0 };
		struct iovec iov[2] = { { &vnet, sizeof(vnet) }, { frame.bytes, 0 } };

		segment(&p, &c, TH_ACK, payload, sizeof(payload));
		if (t.tap) {
			iface_mac(t.name, frame.bytes);
			memcpy(frame.bytes + 12, "\x08\x00", 2);
		}
		memcpy(frame.bytes + frame.len, p.bytes, p.len);
		iov[1].iov_len = frame.len += p.len;
		say("%d", (int)writev(t.fd, iov, 2));
		tun_close(&t);
	}
}

TEST(a_super_packet_without_a_checksum_that_is_one_is_taken_as_on_tun)
{
	both(without_a_checksum);
}
