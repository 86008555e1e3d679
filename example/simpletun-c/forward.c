// SPDX-License-Identifier: MIT
#define _GNU_SOURCE

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "forward.h"

static bool would_block(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK;
}

/* Points the messages at packets where they lie in the ring. */
static void hold_batch(struct tunnel *t)
{
	struct mytun_rec *rec;
	unsigned int n = 0;

	while (n < BATCH && (rec = mytun_rx_peek(&t->queue.rx))) {
		t->held_iov[n].iov_base = mytun_rec_data(rec);
		t->held_iov[n].iov_len = rec->len;
		memset(&t->held[n], 0, sizeof(t->held[n]));
		t->held[n].msg_hdr.msg_iov = &t->held_iov[n];
		t->held[n].msg_hdr.msg_iovlen = 1;
		n++;
	}
	t->held_from = 0;
	t->held_to = n;
}

/* The peer may have moved since the batch was built. */
static void address_batch(struct tunnel *t)
{
	for (unsigned int i = t->held_from; i < t->held_to; i++) {
		t->held[i].msg_hdr.msg_name = &t->peer;
		t->held[i].msg_hdr.msg_namelen = t->peer_size;
	}
}

/* Return: packets that are off, 0 when the socket is full. */
static unsigned int send_batch(struct tunnel *t)
{
	unsigned int done = 0;
	int n;

	address_batch(t);
	while (t->held_from < t->held_to) {
		n = sendmmsg(t->sock, &t->held[t->held_from],
			     t->held_to - t->held_from, MSG_DONTWAIT);
		if (n > 0) {
			t->out.packets += (unsigned int)n;
		} else if (would_block(errno)) {
			break;
		} else if (errno == EINTR) {
			continue;
		} else {
			/*
			 * This packet is too long for the path, or nobody
			 * listens there at the moment. Networks lose packets.
			 */
			n = 1;
			t->out.dropped++;
		}
		t->held_from += (unsigned int)n;
		done += (unsigned int)n;
	}
	return done;
}

static unsigned int drop_batch(struct tunnel *t)
{
	unsigned int n = t->held_to - t->held_from;

	t->out.dropped += n;
	t->held_from = t->held_to;
	return n;
}

int forward_out(struct tunnel *t)
{
	unsigned int done;

	if (t->held_from == t->held_to)
		hold_batch(t);
	if (t->held_from == t->held_to)
		return 0;

	done = t->peer_size ? send_batch(t) : drop_batch(t);
	/* The kernel has copied what it took: all of it goes back at once. */
	if (t->held_from == t->held_to)
		mytun_rx_release(&t->queue.rx);
	return (int)done;
}

/* Records for the datagrams to be received straight into. */
static unsigned int reserve_batch(struct tunnel *t)
{
	struct mytun_rec *rec;
	unsigned int n = 0;

	while (n < BATCH && (rec = mytun_tx_reserve(&t->queue.tx, PACKET_ROOM))) {
		t->room[n] = rec;
		t->got_iov[n].iov_base = mytun_rec_data(rec);
		t->got_iov[n].iov_len = PACKET_ROOM;
		memset(&t->got[n], 0, sizeof(t->got[n]));
		t->got[n].msg_hdr.msg_iov = &t->got_iov[n];
		t->got[n].msg_hdr.msg_iovlen = 1;
		t->got[n].msg_hdr.msg_name = &t->got_from[n];
		t->got[n].msg_hdr.msg_namelen = sizeof(t->got_from[n]);
		n++;
	}
	return n;
}

static int receive_batch(struct tunnel *t, unsigned int room)
{
	int n = recvmmsg(t->sock, t->got, room, MSG_DONTWAIT, NULL);

	/* ECONNREFUSED and its like are news of an earlier packet, not an end. */
	return n < 0 ? 0 : n;
}

static void commit_batch(struct tunnel *t, unsigned int n)
{
	struct mytun_tx_ring *tx = &t->queue.tx;

	for (unsigned int i = 0; i < n; i++) {
		if (t->got[i].msg_hdr.msg_flags & MSG_TRUNC) {
			t->in.dropped++;
			mytun_tx_skip(tx, t->room[i]);
		} else if (t->got[i].msg_len) {
			t->in.packets++;
			mytun_tx_commit(tx, t->room[i], t->got[i].msg_len);
		} else {
			/* An empty datagram only says where its sender is. */
			mytun_tx_skip(tx, t->room[i]);
		}
	}
}

static void learn_peer(struct tunnel *t, const struct msghdr *msg)
{
	if (!t->follow)
		return;
	memcpy(&t->peer, msg->msg_name, msg->msg_namelen);
	t->peer_size = msg->msg_namelen;
}

int forward_in(struct tunnel *t)
{
	unsigned int room = reserve_batch(t);
	int n = room ? receive_batch(t, room) : 0;
	int err;

	if (n > 0) {
		learn_peer(t, &t->got[n - 1].msg_hdr);
		commit_batch(t, (unsigned int)n);
	}
	mytun_tx_cancel(&t->queue.tx);

	err = mytun_tx_submit(&t->queue);
	/* Somebody has set the interface down; it may come up again. */
	return err && err != -ENETDOWN ? err : n;
}

int forward_sleep(struct tunnel *t, int stop_fd)
{
	struct pollfd tun = { .fd = t->queue.fd };
	struct pollfd sock = { .fd = t->sock };
	struct pollfd fds[3];
	int ready;

	/* Each direction waits for its source, or for room where it leads to. */
	if (t->held_from < t->held_to) {
		sock.events |= POLLOUT;
	} else {
		ready = mytun_rx_arm(&t->queue.rx);
		if (ready)
			return ready < 0 ? ready : 0;
		tun.events |= POLLIN;
	}
	ready = mytun_tx_arm(&t->queue.tx, PACKET_ROOM);
	if (ready < 0)
		return ready;
	if (ready)
		sock.events |= POLLIN;
	else
		tun.events |= POLLOUT;

	fds[0] = tun;
	fds[1] = sock;
	fds[2].fd = stop_fd;
	fds[2].events = POLLIN;
	if (poll(fds, 3, -1) < 0 && errno != EINTR)
		return -errno;
	if (!(fds[0].revents & POLLHUP))
		return 0;
	ready = mytun_ring_error(t->queue.rx.prod);
	return ready ? ready : -EBADFD;
}
