/* SPDX-License-Identifier: MIT */
/* The interface's own counters, which must agree with each other and with what a program saw. */
#ifndef ACCOUNT_H
#define ACCOUNT_H

#include <stdint.h>

#include "ring.h"

/* Sums over all queues of ethtool -S. */
struct account {
	uint64_t rx_packets, rx_bytes, rx_drops, rx_holds;
	uint64_t tx_packets, tx_bytes, tx_drops;
};

struct account account_queues(const char *ifname);
/* What the queues' own pages say was dropped. */
uint64_t account_published_rx(const struct ring *rings, int queues);
/* tc -s: packets that the root discipline passed on, and dropped. */
void account_discipline(const char *ifname, uint64_t *passed, uint64_t *dropped);
/* ip -s link is the sum of the queues, of an interface whose queues have rings and all stayed. */
void account_agrees(const char *ifname);

#endif /* ACCOUNT_H */
