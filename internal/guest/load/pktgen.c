// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "pktgen.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "packet.h"
#include "slow.h"

/* Thread n sends from port FROM + n. */
#define FROM 5000
#define TO   6000

/* What pktgen writes before the rest of the payload, which is zero. */
struct mark {
	uint32_t magic, number; /* from 1 on */
	uint32_t seconds, microseconds;
};

#define MAGIC 0xbe9be955

static void write_to(const char *file, const char *text)
{
	char path[64], line[128];

	snprintf(path, sizeof(path), "/proc/net/pktgen/%s", file);
	snprintf(line, sizeof(line), "%s\n", text);
	if (write_file(path, line))
		fail("%s does not take %s: %s", path, text, strerrorname(errno));
}

__attribute__((format(printf, 3, 4))) static void say_to(const struct pktgen *g, int thread,
							 const char *fmt, ...)
{
	char file[32], text[128];
	va_list args;

	snprintf(file, sizeof(file), "%s@%d", g->name, thread);
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	write_to(file, text);
}

static void prepare(const struct pktgen *g, int thread)
{
	int first = thread * g->queues;
	char file[32], text[64];

	snprintf(file, sizeof(file), "kpktgend_%d", thread);
	snprintf(text, sizeof(text), "add_device %s@%d", g->name, thread);
	write_to(file, text);
	say_to(g, thread, "count %llu", (unsigned long long)g->packets);
	say_to(g, thread, "min_pkt_size %u", g->min);
	say_to(g, thread, "max_pkt_size %u", g->max);
	if (g->min != g->max)
		say_to(g, thread, "flag TXSIZE_RND");
	if (g->sum)
		say_to(g, thread, "flag UDPCSUM");
	say_to(g, thread, "flag NO_TIMESTAMP"); /* an emulated machine's clock is far away */
	say_to(g, thread, "delay 0");
	say_to(g, thread, "src_min 10.9.0.1");
	say_to(g, thread, "dst 10.9.0.2");
	say_to(g, thread, "dst_mac 02:00:00:00:00:02");
	say_to(g, thread, "udp_src_min %d", FROM + thread);
	say_to(g, thread, "udp_src_max %d", FROM + thread);
	say_to(g, thread, "udp_dst_min %d", TO);
	say_to(g, thread, "udp_dst_max %d", TO);
	say_to(g, thread, "queue_map_min %d", first);
	say_to(g, thread, "queue_map_max %d", first + g->queues - 1);
}

void pktgen_begin(const struct pktgen *g)
{
	runs("modprobe -q pktgen"); /* it may be built in */
	if (access("/proc/net/pktgen/pgctrl", W_OK))
		skip("no pktgen");
	write_to("pgctrl", "reset");
	for (int i = 0; i < g->threads; i++)
		prepare(g, i);
}

void pktgen_run(void)
{
	write_to("pgctrl", "start");
}

void pktgen_result(const struct pktgen *g, int thread, uint64_t *taken, uint64_t *refused)
{
	unsigned long long sofar, errors;
	const char *at, *text;
	char path[64];

	snprintf(path, sizeof(path), "/proc/net/pktgen/%s@%d", g->name, thread);
	text = read_file(path);
	at = strstr(text, "pkts-sofar: ");
	if (!at || sscanf(at, "pkts-sofar: %llu errors: %llu", &sofar, &errors) != 2)
		fail("pktgen says: %s", text);
	*taken = sofar;
	*refused = errors;
}

/* Word by word: at 10^8 packets each instruction counts. */
static bool is_zero(const uint8_t *bytes, uint32_t len)
{
	return !len || (!*bytes && !memcmp(bytes, bytes + 1, len - 1));
}

uint32_t pktgen_check(const struct pktgen *g, const void *frame, uint32_t len, int *thread)
{
	const struct iphdr *ip = (const struct iphdr *)((const char *)frame + ETH_HLEN);
	const struct udphdr *udp = (const struct udphdr *)(ip + 1);
	const struct mark *mark = (const struct mark *)(udp + 1);
	uint32_t headers = (const uint8_t *)(mark + 1) - (const uint8_t *)frame;
	uint32_t sum;

	if (len < g->min || len > g->max || len < headers)
		fail("a frame of %u bytes", len);
	*thread = ntohs(udp->source) - FROM;
	if (ip->protocol != IPPROTO_UDP || ntohs(ip->tot_len) != len - ETH_HLEN ||
	    ntohs(udp->len) != len - ETH_HLEN - sizeof(*ip) || ntohs(udp->dest) != TO ||
	    *thread < 0 || *thread >= g->threads || packet_fold(packet_sum(0, ip, sizeof(*ip))))
		fail("headers that were never sent");
	if (ntohl(mark->magic) != MAGIC || !is_zero((const uint8_t *)(mark + 1), len - headers))
		fail("a payload that was never sent");
	if (g->sum) {
		sum = packet_sum(IPPROTO_UDP + ntohs(udp->len), &ip->saddr, 8);
		if (!udp->check || packet_fold(packet_sum(sum, udp, ntohs(udp->len))))
			fail("packet %u has a wrong checksum", ntohl(mark->number));
	}
	return ntohl(mark->number) - 1;
}
