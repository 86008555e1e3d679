/* SPDX-License-Identifier: MIT */
/*
 * mytun_ring.h: the program's two ends of a queue's rings.
 *
 * Nothing here makes a system call: these are operations on memory that the
 * kernel (or, in tests, a stand-in for it) shares with the program. libmytun.h
 * joins them with the file of a queue.
 *
 * Reading what the stack transmitted:
 *
 *	while ((rec = mytun_rx_peek(rx)))
 *		use(mytun_rec_data(rec), rec->len);
 *	if (mytun_rx_release(rx))
 *		mytun_rx_doorbell(fd);
 *
 * Handing packets to the stack:
 *
 *	rec = mytun_tx_reserve(tx, len);
 *	memcpy(mytun_rec_data(rec), packet, len);
 *	mytun_tx_commit(tx, rec, len);
 *	if (mytun_tx_publish(tx))
 *		mytun_doorbell(fd);
 *
 * An end belongs to one thread at a time; the two ends of a queue are
 * independent, so one thread may receive while another one transmits.
 *
 * The positions that an end works with are private copies. From shared memory it
 * loads the kernel's position, event and flags and the size of an RX record, each
 * with one atomic load; whatever else is shared is only written.
 */
#ifndef MYTUN_RING_H
#define MYTUN_RING_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mytun_uapi.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct mytun_rx_ring - consumer's end: packets that the stack transmits
 * @prod:     kernel's end, only read
 * @cons:     the program's end, only written
 * @data:     data area
 * @mask:     bytes of the data area, less one
 * @seen:     kernel's position when it was loaded last
 * @next:     position of the next record to peek
 * @released: position up to which records were given back
 * @backpressure: the kernel may be waiting for room, so look whether it does
 *
 * The fields are for the functions below.
 */
struct mytun_rx_ring {
	const struct mytun_end *prod;
	struct mytun_end *cons;
	unsigned char *data;
	uint32_t mask;
	uint32_t seen;
	uint32_t next;
	uint32_t released;
	bool backpressure;
};

/**
 * struct mytun_tx_ring - producer's end: packets that the stack receives
 * @prod:      the program's end, only written
 * @cons:      kernel's end, only read
 * @data:      data area
 * @mask:      bytes of the data area, less one
 * @seen:      kernel's position when it was loaded last
 * @published: position up to which the kernel was told
 * @committed: position after the last committed record
 * @reserved:  position after the last reserved record
 *
 * published <= committed <= reserved, and reserved is never more than the ring's
 * size ahead of seen. The fields are for the functions below.
 */
struct mytun_tx_ring {
	struct mytun_end *prod;
	const struct mytun_end *cons;
	unsigned char *data;
	uint32_t mask;
	uint32_t seen;
	uint32_t published;
	uint32_t committed;
	uint32_t reserved;
};

/**
 * mytun_ring_error - does the kernel still serve this ring?
 * @kernel_end: rx->prod or tx->cons
 *
 * Return: 0, -EIO when the program broke the protocol, -EBADFD when the queue was
 * detached or its interface deleted.
 */
static inline int mytun_ring_error(const struct mytun_end *kernel_end)
{
	uint32_t flags = __atomic_load_n(&kernel_end->flags, __ATOMIC_RELAXED);

	if (flags & MYTUN_END_F_FAULT)
		return -EIO;
	if (flags & MYTUN_END_F_DETACHED)
		return -EBADFD;
	return 0;
}

/**
 * mytun_ring_drops - packets that the kernel dropped at this ring
 * @kernel_end: rx->prod or tx->cons
 *
 * Free-running. See struct mytun_end for what counts.
 */
static inline uint64_t mytun_ring_drops(const struct mytun_end *kernel_end)
{
	return __atomic_load_n(&kernel_end->drops, __ATOMIC_RELAXED);
}

/**
 * mytun_rec_data - first byte of a record's packet
 * @rec: record from mytun_rx_peek() or mytun_tx_reserve()
 */
static inline unsigned char *mytun_rec_data(struct mytun_rec *rec)
{
	return (unsigned char *)rec + rec->off;
}

/**
 * mytun_rec_size - bytes of ring that a packet takes
 * @len: bytes of the packet, at most MYTUN_RING_SIZE_MAX
 */
static inline uint32_t mytun_rec_size(uint32_t len)
{
	uint32_t size = (uint32_t)sizeof(struct mytun_rec) + len;

	return (size + MYTUN_REC_ALIGN - 1) & ~(MYTUN_REC_ALIGN - 1);
}

/**
 * mytun_rec_init - a header for a packet that is complete as it stands
 * @rec: the record
 * @len: bytes of the packet, at most MYTUN_RING_SIZE_MAX
 */
static inline void mytun_rec_init(struct mytun_rec *rec, uint32_t len)
{
	rec->size = mytun_rec_size(len);
	rec->len = len;
	rec->off = sizeof(*rec);
	rec->flags = 0;
	rec->hash = 0;
	rec->proto = 0;
	rec->reserved = 0;
	rec->vnet_flags = 0;
	rec->gso_type = 0;
	rec->hdr_len = 0;
	rec->gso_size = 0;
	rec->csum_start = 0;
	rec->csum_offset = 0;
	rec->reserved2 = 0;
}

/* VIRTIO_NET_HDR_F_*: <linux/virtio_net.h> is not for C++ everywhere. */
#define MYTUN_VNET_NEEDS_CSUM 1
#define MYTUN_VNET_DATA_VALID 2

/**
 * mytun_rec_set_verified - the transport checksum is known to be right
 * @rec: record to transmit
 *
 * Because a cipher has authenticated the packet, say. The stack does not verify it.
 */
static inline void mytun_rec_set_verified(struct mytun_rec *rec)
{
	rec->vnet_flags |= MYTUN_VNET_DATA_VALID;
}

/**
 * mytun_rec_set_csum - the stack is to complete a checksum
 * @rec:    record to transmit
 * @start:  where the bytes that are summed begin, counted from the packet's first
 * @offset: where the checksum goes, counted from @start; what lies there is the sum
 *          of the pseudo header
 */
static inline void mytun_rec_set_csum(struct mytun_rec *rec, uint16_t start,
				      uint16_t offset)
{
	rec->vnet_flags |= MYTUN_VNET_NEEDS_CSUM;
	rec->csum_start = start;
	rec->csum_offset = offset;
}

/**
 * mytun_rec_set_gso - the packet stands for several
 * @rec:     record to transmit, after mytun_rec_set_csum()
 * @type:    VIRTIO_NET_HDR_GSO_TCPV4, TCPV6, UDP_L4 of <linux/virtio_net.h>
 * @size:    bytes of payload of each of them, but for the last
 * @hdr_len: bytes of headers before the payload
 */
static inline void mytun_rec_set_gso(struct mytun_rec *rec, uint8_t type,
				     uint16_t size, uint16_t hdr_len)
{
	rec->gso_type = type;
	rec->gso_size = size;
	rec->hdr_len = hdr_len;
}

/**
 * mytun_records_next - the next record of a buffer that read(2) has filled
 * @buf: the buffer, aligned as struct mytun_rec
 * @len: bytes that read(2) returned
 * @pos: offset of the record; 0 at first, is moved on
 *
 * For files in MYTUN_MODE_F_RECORDS.
 *
 * Return: the record, NULL when there is no further one.
 */
static inline struct mytun_rec *mytun_records_next(void *buf, size_t len, size_t *pos)
{
	struct mytun_rec *rec = (struct mytun_rec *)((unsigned char *)buf + *pos);
	size_t left = *pos < len ? len - *pos : 0;

	if (left < sizeof(*rec) || rec->size < sizeof(*rec) || rec->size > left ||
	    rec->size % MYTUN_REC_ALIGN || rec->off > rec->size || rec->len > rec->size - rec->off)
		return NULL;
	*pos += rec->size;
	return rec;
}

/**
 * mytun_records_put - a further record in a buffer for write(2)
 * @buf:  the buffer, aligned as struct mytun_rec
 * @size: its bytes
 * @pos:  bytes used so far; 0 at first, is moved on, and is what write(2) takes
 * @len:  bytes of the packet
 *
 * For files in MYTUN_MODE_F_RECORDS. The caller writes the packet at
 * mytun_rec_data() and may change the header as in mytun_tx_reserve().
 *
 * Return: the record, NULL when it does not fit.
 */
static inline struct mytun_rec *mytun_records_put(void *buf, size_t size, size_t *pos,
						  uint32_t len)
{
	struct mytun_rec *rec = (struct mytun_rec *)((unsigned char *)buf + *pos);

	if (len > MYTUN_RING_SIZE_MAX || mytun_rec_size(len) > size - *pos)
		return NULL;
	mytun_rec_init(rec, len);
	*pos += rec->size;
	return rec;
}

/**
 * mytun_rx_init - take the consumer's end of the RX ring
 * @rx:    filled in
 * @map:   start of the mapping
 * @rings: what MYTUN_IOC_RINGS answered
 *
 * Begins where the previous owner of this end stopped releasing, in a new ring at
 * its start.
 */
static inline void mytun_rx_init(struct mytun_rx_ring *rx, void *map,
				 const struct mytun_rings *rings)
{
	unsigned char *base = (unsigned char *)map;

	rx->prod = (const struct mytun_end *)(base + rings->rx_prod);
	rx->cons = (struct mytun_end *)(base + rings->rx_cons);
	rx->data = base + rings->rx_data;
	rx->mask = rings->rx_size - 1;
	rx->released = __atomic_load_n(&rx->cons->pos, __ATOMIC_RELAXED);
	rx->next = rx->released;
	rx->seen = rx->released;
	rx->backpressure = false;
}

/**
 * mytun_rx_next - the next record and its size, without taking it
 * @rx:   consumer's end
 * @size: bytes from this record to the next one
 *
 * Return: the record; NULL when there is none, and then *@size tells why: 0
 * empty or being written, ~0 a size that can not be.
 */
static inline struct mytun_rec *mytun_rx_next(struct mytun_rx_ring *rx,
					      uint32_t *size)
{
	struct mytun_rec *rec;

	if (rx->next == rx->seen) {
		/*
		 * Pairs with the kernel's store-release of rx_prod->pos: headers
		 * up to that position are there, at least with MYTUN_REC_BUSY.
		 */
		rx->seen = __atomic_load_n(&rx->prod->pos, __ATOMIC_ACQUIRE);
		if (rx->next == rx->seen) {
			*size = 0;
			return NULL;
		}
	}

	rec = (struct mytun_rec *)(rx->data + (rx->next & rx->mask));
	/*
	 * Pairs with the kernel's store-release of the size without
	 * MYTUN_REC_BUSY: the rest of the header and the packet are there.
	 */
	*size = __atomic_load_n(&rec->size, __ATOMIC_ACQUIRE);
	/*
	 * What is not a record: 0 would make the caller look at the same one for
	 * ever, MYTUN_REC_BUSY is larger than any ring, and after another odd size
	 * the next header is not aligned, or lies in this one.
	 */
	if (*size - 1 >= rx->seen - rx->next || *size % MYTUN_REC_ALIGN ||
	    *size < sizeof(*rec)) {
		*size = *size & MYTUN_REC_BUSY ? 0 : ~0U;
		return NULL;
	}
	return rec;
}

/**
 * mytun_rx_peek - the next record, NULL when none is there
 * @rx: consumer's end
 *
 * Each call goes one record on. A record, with its header, headroom and tailroom,
 * is the program's to read and write until it is released.
 */
static inline struct mytun_rec *mytun_rx_peek(struct mytun_rx_ring *rx)
{
	uint32_t size;
	struct mytun_rec *rec = mytun_rx_next(rx, &size);

	if (rec)
		rx->next += size;
	return rec;
}

/**
 * mytun_rx_ready - would mytun_rx_peek() find a record?
 * @rx: consumer's end
 *
 * Return: 1 yes, 0 no, -EPROTO when the ring holds what can not be a record, so
 * that it will never find one again.
 */
static inline int mytun_rx_ready(struct mytun_rx_ring *rx)
{
	uint32_t size;

	if (mytun_rx_next(rx, &size))
		return 1;
	return size ? -EPROTO : 0;
}

/**
 * mytun_rx_pos - position after the last record that was peeked
 * @rx: consumer's end
 *
 * To be kept for mytun_rx_release_to().
 */
static inline uint32_t mytun_rx_pos(const struct mytun_rx_ring *rx)
{
	return rx->next;
}

/**
 * mytun_rx_release_to - give back the records before a position
 * @rx:  consumer's end
 * @pos: what mytun_rx_pos() returned after the last record to give back
 *
 * Return: whether the kernel must be told by mytun_rx_doorbell(): with
 * MYTUN_MODE_F_BACKPRESSURE it has stopped sending and waited for this room. Never
 * without.
 */
static inline bool mytun_rx_release_to(struct mytun_rx_ring *rx, uint32_t pos)
{
	uint32_t old = rx->released;
	uint32_t event;

	if (pos == old)
		return false;
	rx->released = pos;
	/*
	 * Pairs with the kernel's load-acquire of rx_cons->pos before it writes
	 * into this memory again.
	 */
	__atomic_store_n(&rx->cons->pos, pos, __ATOMIC_RELEASE);
	if (!rx->backpressure)
		return false;
	/*
	 * Pairs with the kernel's full barrier between storing rx_prod->event and
	 * its last look at rx_cons->pos before it stops.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&rx->prod->event, __ATOMIC_RELAXED);
	return mytun_need_event(event, pos, old);
}

/**
 * mytun_rx_release - give back all records that were peeked
 * @rx: consumer's end
 *
 * Return: as mytun_rx_release_to()
 */
static inline bool mytun_rx_release(struct mytun_rx_ring *rx)
{
	return mytun_rx_release_to(rx, rx->next);
}

/**
 * mytun_rx_arm - ask to be woken at the next record, before poll(2)
 * @rx: consumer's end
 *
 * Return: as mytun_rx_ready(); only after 0 may the caller sleep.
 */
static inline int mytun_rx_arm(struct mytun_rx_ring *rx)
{
	__atomic_store_n(&rx->cons->event, rx->next, __ATOMIC_RELAXED);
	/*
	 * Pairs with the kernel's full barrier between completing a record and
	 * loading rx_cons->event: either it sees that it must wake, or the look
	 * below sees the record.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return mytun_rx_ready(rx);
}

/**
 * mytun_tx_init - take the producer's end of the TX ring
 * @tx:    filled in
 * @map:   start of the mapping
 * @rings: what MYTUN_IOC_RINGS answered
 *
 * Begins where the previous owner of this end stopped publishing, in a new ring
 * at its start.
 */
static inline void mytun_tx_init(struct mytun_tx_ring *tx, void *map,
				 const struct mytun_rings *rings)
{
	unsigned char *base = (unsigned char *)map;

	tx->prod = (struct mytun_end *)(base + rings->tx_prod);
	tx->cons = (const struct mytun_end *)(base + rings->tx_cons);
	tx->data = base + rings->tx_data;
	tx->mask = rings->tx_size - 1;
	tx->published = __atomic_load_n(&tx->prod->pos, __ATOMIC_RELAXED);
	tx->committed = tx->published;
	tx->reserved = tx->published;
	/* Pairs as in mytun_tx_has_room(). */
	tx->seen = __atomic_load_n(&tx->cons->pos, __ATOMIC_ACQUIRE);
}

/* Bytes that can be reserved by what is known of the kernel's position. */
static inline uint32_t mytun_tx_room(const struct mytun_tx_ring *tx)
{
	return tx->mask + 1 - (tx->reserved - tx->seen);
}

/* The same comparison for reserve and wait; looks at the kernel only if it must. */
static inline bool mytun_tx_has_room(struct mytun_tx_ring *tx, uint32_t size)
{
	if (mytun_tx_room(tx) >= size)
		return true;
	/*
	 * Pairs with the kernel's store-release of tx_cons->pos: it has copied
	 * the packets before that position, so they may be overwritten.
	 */
	tx->seen = __atomic_load_n(&tx->cons->pos, __ATOMIC_ACQUIRE);
	return mytun_tx_room(tx) >= size;
}

/**
 * mytun_tx_len_max - the longest packet that the ring can hold
 * @tx: producer's end
 */
static inline uint32_t mytun_tx_len_max(const struct mytun_tx_ring *tx)
{
	return tx->mask + 1 - (uint32_t)sizeof(struct mytun_rec);
}

/**
 * mytun_tx_reserve - a record to write a packet into, NULL when there is no room
 * @tx:  producer's end
 * @len: room for this many bytes of packet
 *
 * The header is filled in for a packet of @len bytes without offloads. The caller
 * writes the packet at mytun_rec_data() and may change the header: proto, flags,
 * the vnet fields, and off where it wants to leave bytes in front of the packet
 * (they count as part of @len). Several records may be reserved before the first
 * is committed.
 */
static inline struct mytun_rec *mytun_tx_reserve(struct mytun_tx_ring *tx,
						 uint32_t len)
{
	uint32_t size = mytun_rec_size(len);
	struct mytun_rec *rec;

	if (len > mytun_tx_len_max(tx) || !mytun_tx_has_room(tx, size))
		return NULL;

	rec = (struct mytun_rec *)(tx->data + (tx->reserved & tx->mask));
	mytun_rec_init(rec, len);
	tx->reserved += size;
	return rec;
}

/**
 * mytun_tx_commit - this record and all reserved before it are complete
 * @tx:  producer's end
 * @rec: record of mytun_tx_reserve(), not committed yet
 * @len: bytes of the packet, at most what was reserved
 *
 * Of the record that was reserved last, the bytes that @len leaves unused return
 * to the ring. The kernel sees nothing of it before mytun_tx_publish().
 */
static inline void mytun_tx_commit(struct mytun_tx_ring *tx,
				   struct mytun_rec *rec, uint32_t len)
{
	uint32_t at = (uint32_t)((unsigned char *)rec - tx->data);
	uint32_t pos = tx->committed + ((at - tx->committed) & tx->mask);

	rec->len = len;
	if (pos + rec->size == tx->reserved) {
		rec->size = mytun_rec_size(rec->off - (uint32_t)sizeof(*rec) + len);
		tx->reserved = pos + rec->size;
	}
	tx->committed = pos + rec->size;
}

/**
 * mytun_tx_skip - commit this record as one without a packet
 * @tx:  producer's end
 * @rec: record of mytun_tx_reserve(), not committed yet
 */
static inline void mytun_tx_skip(struct mytun_tx_ring *tx, struct mytun_rec *rec)
{
	rec->flags = MYTUN_REC_F_SKIP;
	rec->off = sizeof(*rec);
	mytun_tx_commit(tx, rec, 0);
}

/**
 * mytun_tx_cancel - forget the records that were reserved and not committed
 * @tx: producer's end
 */
static inline void mytun_tx_cancel(struct mytun_tx_ring *tx)
{
	tx->reserved = tx->committed;
}

/**
 * mytun_tx_publish - show the kernel the committed records
 * @tx: producer's end
 *
 * Return: whether the kernel must be told by mytun_doorbell(). False while it is
 * busy with the ring anyway.
 */
static inline bool mytun_tx_publish(struct mytun_tx_ring *tx)
{
	uint32_t old = tx->published;
	uint32_t event;

	if (tx->committed == old)
		return false;
	tx->published = tx->committed;
	/* Pairs with the kernel's load-acquire of tx_prod->pos. */
	__atomic_store_n(&tx->prod->pos, tx->published, __ATOMIC_RELEASE);
	/*
	 * Pairs with the kernel's full barrier between storing tx_cons->event
	 * and its last look at tx_prod->pos before it stops looking.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&tx->cons->event, __ATOMIC_RELAXED);
	return mytun_need_event(event, tx->published, old);
}

/**
 * mytun_tx_arm - ask to be woken when a packet fits, before poll(2)
 * @tx:  producer's end
 * @len: bytes of the packet
 *
 * What was committed must be published before, for only that is ever consumed.
 *
 * Return: 1 when it fits already, -EMSGSIZE when it can not fit, 0 otherwise;
 * only after 0 may the caller sleep.
 */
static inline int mytun_tx_arm(struct mytun_tx_ring *tx, uint32_t len)
{
	uint32_t size = mytun_rec_size(len);

	if (len > mytun_tx_len_max(tx) ||
	    size > tx->mask + 1 - (tx->reserved - tx->published))
		return -EMSGSIZE;
	if (mytun_tx_has_room(tx, size))
		return 1;
	/* There is room once the kernel's position is reserved + size - ring. */
	__atomic_store_n(&tx->prod->event,
			 tx->reserved + size - (tx->mask + 1) - 1,
			 __ATOMIC_RELAXED);
	/*
	 * Pairs with the kernel's full barrier between storing tx_cons->pos and
	 * loading tx_prod->event.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return mytun_tx_has_room(tx, size);
}

#ifdef __cplusplus
}
#endif

#endif /* MYTUN_RING_H */
