/* SPDX-License-Identifier: MIT */
/* Packets between the rings of a queue and a UDP socket, in batches. */
#ifndef FORWARD_H
#define FORWARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "libmytun.h"

/* Packets that one call of the kernel moves at most. */
#define BATCH 64

/* Longest packet that comes in; a datagram that is longer is dropped. */
#define PACKET_ROOM 2048

/**
 * struct counts - of one direction
 * @packets: packets that went through
 * @dropped: packets that the other side did not take
 */
struct counts {
	uint64_t packets;
	uint64_t dropped;
};

/**
 * struct tunnel - one queue, one socket, one peer
 * @queue:      interface
 * @sock:       socket, not blocking
 * @peer:       where datagrams go
 * @peer_size:  bytes of its address, 0 while nobody is known
 * @follow:     whoever sends is the peer
 * @held:       records that were peeked and not sent yet
 * @held_from:  index of the first of them
 * @held_to:    index after the last of them
 * @room:       records that were reserved for datagrams
 * @out:        counts of packets to the peer
 * @in:         counts of packets from the peer
 */
struct tunnel {
	struct mytun_queue queue;
	int sock;
	struct sockaddr_storage peer;
	socklen_t peer_size;
	bool follow;

	struct mmsghdr held[BATCH];
	struct iovec held_iov[BATCH];
	unsigned int held_from, held_to;

	struct mytun_rec *room[BATCH];
	struct mmsghdr got[BATCH];
	struct iovec got_iov[BATCH];
	struct sockaddr_storage got_from[BATCH];

	struct counts out, in;
};

/*
 * Each moves one batch and returns the number of packets, or -errno when the
 * tunnel can not go on. 0 has two reasons: nothing is there, or the other side
 * has no room; forward_sleep() sorts them out.
 */
int forward_out(struct tunnel *t);
int forward_in(struct tunnel *t);

/**
 * forward_sleep - until one of the directions may go on
 * @t:       tunnel with nothing to do
 * @stop_fd: becomes readable when there is another reason to wake up
 *
 * Return: 0 or -errno.
 */
int forward_sleep(struct tunnel *t, int stop_fd);

#endif /* FORWARD_H */
