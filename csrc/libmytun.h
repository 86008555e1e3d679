/* SPDX-License-Identifier: MIT */
/*
 * libmytun.h: queues of a mytun interface for C programs.
 *
 * A queue is one open file that is attached to an interface, and one ring in each
 * direction. Directions are the program's: RX is what the stack transmits, TX is
 * what the stack receives.
 *
 *	struct mytun_rings rings = { .rx_headroom = 64 };
 *	struct mytun_queue q;
 *	char name[IFNAMSIZ] = "vpn%d";
 *	struct mytun_rec *rec;
 *	int err;
 *
 *	err = mytun_queue_open(&q, NULL, name, IFF_TUN, &rings);
 *	while (err >= 0) {
 *		while ((rec = mytun_rx_peek(&q.rx)))
 *			use(mytun_rec_data(rec), rec->len);
 *		mytun_rx_done(&q);
 *		err = mytun_rx_wait(&q, -1);
 *	}
 *	mytun_queue_close(&q);
 *
 * Functions that can fail return -errno. There are no globals, no threads and no
 * allocations. Two threads may use one queue, one for each direction.
 *
 * mytun_ring.h has the ring operations: peek, release, reserve, commit.
 */
#ifndef LIBMYTUN_H
#define LIBMYTUN_H

#include <stddef.h>
#include <stdint.h>

#include "mytun_ring.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MYTUN_DEVICE "/dev/net/mytun"

/* Bytes of an interface's name with its final 0; IFNAMSIZ of <net/if.h>. */
#define MYTUN_NAME_SIZE 16

/*
 * The module's calls, one function each. A file is not blocking and is closed on
 * exec.
 */

/**
 * mytun_open - open the module's device
 * @path: its path, NULL for MYTUN_DEVICE
 *
 * Return: a file descriptor; -ENOENT when the module is not loaded.
 */
int mytun_open(const char *path);

/**
 * mytun_close - close the file
 * @fd: from mytun_open()
 *
 * While something is mapped the queue stays attached, see mytun_detach().
 */
int mytun_close(int fd);

/**
 * mytun_attach - make the file a queue of an interface (TUNSETIFF)
 * @fd:    from mytun_open()
 * @name:  in: the interface's name, may hold %d, or empty for tun%d or tap%d;
 *         out: the name it got
 * @flags: IFF_* of <linux/if_tun.h>: IFF_TUN or IFF_TAP, IFF_MULTI_QUEUE ...
 */
int mytun_attach(int fd, char name[MYTUN_NAME_SIZE], uint16_t flags);

/**
 * mytun_detach - take the queue off its interface, though it may be mapped
 * @fd: from mytun_open()
 */
int mytun_detach(int fd);

/**
 * mytun_get_info - what the module can do and where the file is attached
 * @fd:   from mytun_open()
 * @info: filled in
 */
int mytun_get_info(int fd, struct mytun_info *info);

/**
 * mytun_set_rings - give the queue its rings; once in the life of a file
 * @fd:    from mytun_open(), attached
 * @rings: flags, sizes, headroom and tailroom go in, the geometry comes out
 */
int mytun_set_rings(int fd, struct mytun_rings *rings);

/**
 * mytun_map - map the rings
 * @fd:   from mytun_open(), with rings
 * @size: map_size of mytun_set_rings()
 * @map:  address of the mapping
 */
int mytun_map(int fd, size_t size, void **map);

/**
 * mytun_unmap - undo mytun_map()
 * @map:  address of the mapping
 * @size: its size
 */
int mytun_unmap(void *map, size_t size);

/**
 * mytun_doorbell - tell the kernel that records wait in the TX ring
 * @fd: from mytun_open(), with rings
 *
 * Never blocks. To be called when mytun_tx_publish() says so.
 */
int mytun_doorbell(int fd);

/**
 * mytun_rx_doorbell - tell the kernel that there is room again in the RX ring
 * @fd: from mytun_open(), with rings
 *
 * Never blocks. To be called when mytun_rx_release() says so.
 */
int mytun_rx_doorbell(int fd);

/**
 * mytun_set_mode - how an attached queue works, from now on
 * @fd:   from mytun_open(), attached
 * @mode: all of the mode; see struct mytun_mode
 *
 * For a struct mytun_queue use mytun_queue_set_mode(), which knows who must be told.
 */
int mytun_set_mode(int fd, const struct mytun_mode *mode);

/**
 * mytun_get_mode - how an attached queue works
 * @fd:   from mytun_open(), attached
 * @mode: filled in
 */
int mytun_get_mode(int fd, struct mytun_mode *mode);

/**
 * mytun_set_eventfds - eventfds to signal besides whoever polls the file
 * @fd: from mytun_open()
 * @rx: signalled when poll(2) would be woken with POLLIN; -1: none
 * @tx: signalled when poll(2) would be woken with POLLOUT; -1: none
 */
int mytun_set_eventfds(int fd, int rx, int tx);

/**
 * mytun_set_offload - which unfinished packets the program takes (TUNSETOFFLOAD)
 * @fd:      from mytun_open(), attached
 * @offload: TUN_F_* of <linux/if_tun.h>; 0: none, every packet is complete
 *
 * One setting for all queues of the interface. -EINVAL for what the module does not
 * know, without TUN_F_CSUM, and of TUN_F_USO4 and TUN_F_USO6 for one without the other.
 */
int mytun_set_offload(int fd, unsigned int offload);

/**
 * struct mytun_queue - a file, its mapping, and the program's ends of its rings
 * @fd:       file; may be polled by the program, see mytun_rx_arm()
 * @map:      mapping
 * @map_size: bytes of the mapping
 * @rx:       ring of packets to receive
 * @tx:       ring of packets to transmit
 */
struct mytun_queue {
	int fd;
	void *map;
	size_t map_size;
	struct mytun_rx_ring rx;
	struct mytun_tx_ring tx;
};

/**
 * mytun_queue_open - open, attach, set up the rings and map them
 * @q:     filled in
 * @path:  as in mytun_open()
 * @name:  as in mytun_attach()
 * @flags: as in mytun_attach()
 * @rings: as in mytun_set_rings(), but a size of 0 means the default size, and
 *         MYTUN_RINGS_F_EVENT_IDX is added, for the functions below keep the
 *         event fields
 *
 * After an error nothing is left open.
 */
int mytun_queue_open(struct mytun_queue *q, const char *path,
		     char name[MYTUN_NAME_SIZE], uint16_t flags,
		     struct mytun_rings *rings);

/**
 * mytun_queue_map - map the rings of a file that has them already
 * @q:     filled in
 * @fd:    the file, perhaps opened by another process; the queue owns it from
 *         then on
 * @rings: what mytun_set_rings() answered
 */
int mytun_queue_map(struct mytun_queue *q, int fd,
		    const struct mytun_rings *rings);

/**
 * mytun_queue_close - detach the queue, unmap its rings and close its file
 * @q: from mytun_queue_open() or mytun_queue_map()
 *
 * Records that were peeked or reserved are gone with the mapping.
 */
void mytun_queue_close(struct mytun_queue *q);

/**
 * mytun_queue_set_mode - how the queue works, from now on
 * @q:      queue
 * @flags:  MYTUN_MODE_F_BACKPRESSURE or 0
 * @inject: MYTUN_INJECT_*
 *
 * By the thread that receives. -EINVAL for what this module does not know.
 */
int mytun_queue_set_mode(struct mytun_queue *q, uint32_t flags, uint32_t inject);

/**
 * mytun_rx_done - give back all records that were peeked, ring the doorbell if needed
 * @q: queue
 *
 * The same as mytun_rx_release() without MYTUN_MODE_F_BACKPRESSURE.
 *
 * Return: 0; -EIO the ring is faulted, -EBADFD the queue was detached.
 */
int mytun_rx_done(struct mytun_queue *q);

/**
 * mytun_rx_wait - sleep until mytun_rx_peek() will find a record
 * @q:          queue
 * @timeout_ms: as in poll(2): negative waits without end
 *
 * Release what was peeked before: a full ring stays full, and with
 * MYTUN_MODE_F_BACKPRESSURE the kernel sends nothing before half of it is free.
 *
 * Return: 1 a record is there, 0 timeout, -EINTR after a signal handler ran,
 * -EIO the ring is faulted, -EBADFD the queue was detached and no record is left.
 */
int mytun_rx_wait(struct mytun_queue *q, int timeout_ms);

/**
 * mytun_tx_submit - publish the committed records, ring the doorbell if needed
 * @q: queue
 *
 * Return: 0; -ENETDOWN the interface is down, the records are consumed and
 * dropped; -EIO the ring is faulted, -EBADFD the queue was detached.
 */
int mytun_tx_submit(struct mytun_queue *q);

/**
 * mytun_tx_wait - submit, and sleep until a packet fits into the TX ring
 * @q:          queue
 * @len:        bytes of the packet
 * @timeout_ms: as in poll(2): negative waits without end
 *
 * Return: 1 mytun_tx_reserve() will succeed, 0 timeout, -EINTR after a signal
 * handler ran, -EMSGSIZE it can never fit, -EIO and -EBADFD as above.
 */
int mytun_tx_wait(struct mytun_queue *q, uint32_t len, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif /* LIBMYTUN_H */
