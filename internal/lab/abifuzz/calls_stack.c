// SPDX-License-Identifier: MIT
/* Packets that the stack sends out of the interface, and sockets for what comes out of it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "iface.h"
#include "packet.h"
#include "shape.h"
#include "world.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static __thread uint8_t buffer[PACKET_BYTES + 64];

struct address {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

static struct address address(bool six, bool here, uint16_t port)
{
	struct address a = {};

	if (six) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(port);
		inet_pton(AF_INET6, here ? HERE6 : THERE6, &a.in6.sin6_addr);
		a.len = sizeof(a.in6);
	} else {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
		inet_pton(AF_INET, here ? HERE4 : THERE4, &a.in.sin_addr);
		a.len = sizeof(a.in);
	}
	return a;
}

static int socket_here(bool six, int type)
{
	struct address here = address(six, true, PORT_HERE);
	int fd = socket(six ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	bind(fd, &here.sa, here.len);
	return fd;
}

/* six len gso count port: datagrams, or one that is cut below */
void call_udp(const uint64_t *a)
{
	bool six = a[0];
	struct address to = address(six, false, PORT_THERE + a[4]);
	int fd = socket_here(six, SOCK_DGRAM), gso = a[2], on = 1;
	size_t len = a[1] % 65000;

	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	if (gso)
		setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &gso, sizeof(gso));
	for (uint64_t i = 0; i <= a[3] % 64; i++)
		if (sendto(fd, buffer, len, MSG_DONTWAIT, &to.sa, to.len) < 0)
			break;
	close(fd);
}

/*
 * KASAN keeps what was freed until somebody allocates who may sleep, which cutting a packet is not:
 * cut into single bytes, again and again, some fill all memory.
 */
#define PIECES_MAX 70000

/*
 * name tap shape payload VNET count: a frame of the program's making goes out of the
 * interface, with virtio fields that a packet socket believes.
 */
void call_frame(const uint64_t *a)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(a[2] & 1 ? 0x86dd : 0x0800),
				  .sll_halen = 6 };
	struct virtio_net_hdr vnet = {};
	struct mytun_rec rec = {};
	struct ifreq ifr = {};
	bool tap = a[1];
	size_t len, pieces;

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", names[a[0] % NAMES]);
	if (ioctl(inet_fd[0], SIOCGIFINDEX, &ifr))
		goto out;
	to.sll_ifindex = ifr.ifr_ifindex;
	setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on));
	shape_vnet(&rec, a + 4, a[2], tap);
	vnet.flags = rec.vnet_flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	vnet.gso_type = rec.gso_type;
	vnet.hdr_len = rec.hdr_len;
	vnet.gso_size = rec.gso_size;
	vnet.csum_start = rec.csum_start;
	vnet.csum_offset = rec.csum_offset;
	memcpy(buffer, &vnet, sizeof(vnet));
	len = sizeof(vnet) + shape_packet(buffer + sizeof(vnet), a[2], a[3], tap);
	pieces = vnet.gso_size ? len / vnet.gso_size : 1;
	for (uint64_t i = 0; i <= a[4 + VNET_ARGS] % 64 && i * pieces < PIECES_MAX; i++)
		if (sendto(fd, buffer, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			break;
out:
	close(fd);
}

/* A connection that is begun, and left behind. */
void call_tcp(const uint64_t *a)
{
	struct address to = address(a[0], false, PORT_THERE);
	int fd = socket_here(a[0], SOCK_STREAM);

	connect(fd, &to.sa, to.len);
	close(fd);
}

/* A socket that has had a packet of a queue's NAPI looks for more by itself. */
void call_busypoll(const uint64_t *a)
{
	int fd = socket_here(a[0], SOCK_DGRAM), usecs = 50;
	const struct file *f = &files[a[1] % FILES];

	setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &usecs, sizeof(usecs));
	if (f->map && f->g.tx_size) {
		call_burst((const uint64_t[]){ a[1], a[0] ? UDP_6 : UDP_4, 100, 3, 1 });
		recv(fd, buffer, sizeof(buffer), 0);
		call_burst((const uint64_t[]){ a[1], a[0] ? UDP_6 : UDP_4, 100, 3, 0 });
	}
	for (uint64_t i = 0; i <= a[2] % 8; i++)
		recv(fd, buffer, sizeof(buffer), 0);
	close(fd);
}
