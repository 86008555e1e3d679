/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * mytun: packet rings between the kernel's network stack and a program.
 *
 * Everything here comes on top of <linux/if_tun.h>: open /dev/net/mytun, attach
 * the file to an interface with TUNSETIFF as on /dev/net/tun, and the file (a
 * "queue" of that interface) reads and writes packets as a stock tun file does.
 * MYTUN_IOC_RINGS then replaces read(2) and write(2) by two rings in memory that
 * the kernel and the program share.
 *
 * Directions are the program's:
 *
 *   RX   the stack transmits through the interface, the program receives
 *   TX   the program transmits, the stack receives
 *
 * One mmap of (offset 0, length mytun_rings.map_size, MAP_SHARED) maps it all:
 *
 *   rx_cons  +----------------------+  struct mytun_end, written by the program
 *   tx_prod  +----------------------+  struct mytun_end, written by the program
 *   rx_prod  +----------------------+  struct mytun_end, written by the kernel
 *   tx_cons  +----------------------+  struct mytun_end, written by the kernel
 *   rx_data  +----------------------+  rx_size bytes
 *            | the same pages again |  rx_size bytes
 *   tx_data  +----------------------+  tx_size bytes
 *            | the same pages again |  tx_size bytes
 *            +----------------------+
 *
 * The offsets come back from MYTUN_IOC_RINGS; use those, not this picture. Each
 * data area is mapped twice in a row, so that a record which begins before the
 * end of the area is always contiguous.
 *
 * A position is a free-running __u32, in bytes; the record at position p begins
 * at data + (p & (size - 1)). Positions are multiples of MYTUN_REC_ALIGN, and
 * so are record sizes. A ring is empty when producer and consumer positions are
 * equal and holds (producer - consumer) bytes, at most its size.
 *
 * RX, the program consumes:
 *   1. load-acquire rx_prod->pos; equal to the own position: nothing there.
 *   2. load-acquire rec->size; MYTUN_REC_BUSY set: the kernel is still writing
 *      this record, treat it as not there (several CPUs fill one ring, and a
 *      later record may be complete earlier).
 *   3. use the record. From its first byte after the header to its end it
 *      belongs to the program: headroom and tailroom may be written, so may the
 *      header. It stays valid until given back.
 *   4. store-release rx_cons->pos = position + size. This gives it back.
 *
 * TX, the program produces:
 *   1. load-acquire tx_cons->pos; room is tx_size - (own position - tx_cons->pos).
 *   2. write header and packet of one or more records.
 *   3. store-release tx_prod->pos = position after the last.
 *   4. full barrier; load tx_cons->event; if mytun_need_event() says so, ring the
 *      doorbell, ioctl(fd, MYTUN_IOC_DOORBELL, 0).
 * The kernel loads each header once, checks it, and copies the packet before it
 * looks at a byte of it. The record can be used again as soon as tx_cons->pos
 * has passed it.
 *
 * Sleeping. Whoever wants to sleep writes into the event field of its own end
 * the position of the *other* side whose passing shall wake it, executes a full
 * barrier, looks once more whether it still must sleep, and sleeps. The other
 * side, after it has moved from position "old" to "new" and executed a full
 * barrier, wakes the sleeper if mytun_need_event(event, new, old).
 *   - A program that waits for packets sets rx_cons->event to its own position,
 *     and waits for POLLIN.
 *   - A program that waits until the kernel's position has reached p sets
 *     tx_prod->event to p - 1, and waits for POLLOUT.
 *   - The kernel, when it has consumed the TX ring and stops looking, sets
 *     tx_cons->event; that is when a doorbell is needed.
 * Without MYTUN_RINGS_F_EVENT_IDX the kernel ignores the program's event fields
 * and wakes at every record, which is right for programs that just use poll.
 * A stale event field costs one needless wake-up each 4 GiB, never a lost one.
 *   - With MYTUN_MODE_F_BACKPRESSURE the kernel, when it stops sending because the RX
 *     ring is nearly full, sets rx_prod->event to the position of the program at which
 *     it wants to go on. The program, after it has moved rx_cons->pos from "old" to
 *     "new" and executed a full barrier, rings ioctl(fd, MYTUN_IOC_DOORBELL,
 *     MYTUN_DOORBELL_RX) if mytun_need_event(event, new, old).
 * Several threads that share a ring share its event field too: none may consume past
 * the position on which another sleeps, or poll(2) finds nothing to tell that one.
 *
 * Byte order is the machine's except where a type says otherwise.
 */
#ifndef _UAPI_LINUX_MYTUN_H
#define _UAPI_LINUX_MYTUN_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Version of this contract. It grows when something is added that an older
 * program can ignore; what is described here is never taken away.
 */
#define MYTUN_ABI_VERSION 2

/* Bytes of one data area: a power of two within these limits. */
#define MYTUN_RING_SIZE_MIN (1U << 12)
#define MYTUN_RING_SIZE_MAX (1U << 26)
/* Good values to begin with: together with the four pages under 2 MiB a queue. */
#define MYTUN_RX_SIZE_DEFAULT (1U << 20)
#define MYTUN_TX_SIZE_DEFAULT (1U << 19)

/* The most headroom, and the most tailroom, in bytes. */
#define MYTUN_ROOM_MAX 4096U

/*
 * The longest packet of a TX record, in bytes: an IPv6 header with the longest payload
 * that it can say, an Ethernet header and two VLAN tags. A longer one is dropped and
 * counted.
 */
#define MYTUN_PACKET_MAX (40U + 65535U + 14U + 8U)

/* The most queues (attached files) of one interface; the built-in tun's limit. */
#define MYTUN_QUEUES_MAX 256U

/* Flags of MYTUN_IOC_RINGS. Any other bit: EINVAL. */
#define MYTUN_RINGS_F_EVENT_IDX (1U << 0) /* the program keeps its event fields */
#define MYTUN_RINGS_F_HASH	(1U << 1) /* fill mytun_rec.hash of RX records */

#define MYTUN_RINGS_F_ALL (MYTUN_RINGS_F_EVENT_IDX | MYTUN_RINGS_F_HASH)

/**
 * struct mytun_rings - argument of MYTUN_IOC_RINGS
 * @flags:       in: MYTUN_RINGS_F_*
 * @rx_size:     in: bytes of the RX data area
 * @tx_size:     in: bytes of the TX data area
 * @rx_headroom: in: bytes the kernel leaves free between the header of an RX
 *               record and its packet; at most MYTUN_ROOM_MAX
 * @rx_tailroom: in: bytes the kernel leaves free after the packet; at most
 *               MYTUN_ROOM_MAX
 * @rx_prod:     out: offset in the mapping of the kernel's end of the RX ring
 * @rx_cons:     out: offset of the program's end of the RX ring
 * @rx_data:     out: offset of the RX data area
 * @tx_prod:     out: offset of the program's end of the TX ring
 * @tx_cons:     out: offset of the kernel's end of the TX ring
 * @tx_data:     out: offset of the TX data area
 * @map_size:    out: bytes to mmap, all of them, at offset 0
 * @reserved:    must be zero
 *
 * All offsets are multiples of the page size.
 */
struct mytun_rings {
	__u32 flags;
	__u32 rx_size;
	__u32 tx_size;
	__u16 rx_headroom;
	__u16 rx_tailroom;
	__u32 rx_prod;
	__u32 rx_cons;
	__u32 rx_data;
	__u32 tx_prod;
	__u32 tx_cons;
	__u32 tx_data;
	__u64 map_size;
	__u32 reserved[4];
};

/* Why the kernel does not serve a ring any more: mytun_end.flags of its ends. */
#define MYTUN_END_F_FAULT    (1U << 0) /* the program broke the protocol */
#define MYTUN_END_F_DETACHED (1U << 1) /* the queue left its interface */

/**
 * struct mytun_end - one end of a ring, at the start of a page of its own
 * @pos:      position of this end; store-release by its writer
 * @event:    position of the other end at which the writer of this page wants
 *            to be woken, see mytun_need_event()
 * @flags:    MYTUN_END_F_*; written by the kernel in its own two ends. A flag
 *            that is set stays set.
 * @reserved: zero
 * @drops:    in rx_prod: packets that were dropped because they did not fit, in
 *            tx_cons: records whose packet was dropped: malformed, its virtio
 *            fields refused, the interface down, or no memory. Free-running.
 *
 * The kernel's own copies are the authority: it never reads back what it wrote
 * here, and what the program writes here it loads once and checks.
 */
struct mytun_end {
	__u32 pos;
	__u32 event;
	__u32 flags;
	__u32 reserved;
	__u64 drops;
};

/* Positions and record sizes are multiples of this, and so is sizeof(mytun_rec). */
#define MYTUN_REC_ALIGN 16U

/* Bit in mytun_rec.size of an RX record: the kernel is still writing it. */
#define MYTUN_REC_BUSY (1U << 31)

/* mytun_rec.flags. RX records: none. TX records; any other bit: dropped. */
#define MYTUN_REC_F_SKIP (1U << 0) /* TX: there is no packet here, go on */

/**
 * struct mytun_rec - header of a record; packet bytes are at (char *)rec + off
 * @size:        bytes from this header to the next record's, a multiple of
 *               MYTUN_REC_ALIGN, at least sizeof(struct mytun_rec). In RX records
 *               with MYTUN_REC_BUSY while it is being written; a program that
 *               marks RX records as its own must not use that bit, poll(2) looks
 *               at it.
 * @len:         bytes of the packet, at least 1. TUN: it begins with the IP header;
 *               TAP: with the Ethernet header.
 * @off:         bytes from the start of this header to the packet
 * @flags:       MYTUN_REC_F_*
 * @hash:        RX with MYTUN_RINGS_F_HASH: symmetric hash of the packet's flow,
 *               the same for both directions of a connection; otherwise 0.
 *               TX: ignored.
 * @proto:       Ethernet protocol number, network byte order (__be16). TX on a TUN
 *               interface: 0 lets the kernel tell IPv4 from IPv6 by the packet's
 *               first four bits. TX on a TAP interface: ignored.
 * @vnet_flags:  as flags of struct virtio_net_hdr: VIRTIO_NET_HDR_F_NEEDS_CSUM ...
 * @gso_type:    as in struct virtio_net_hdr: VIRTIO_NET_HDR_GSO_NONE ...
 * @hdr_len:     as in struct virtio_net_hdr
 * @gso_size:    as in struct virtio_net_hdr
 * @csum_start:  as in struct virtio_net_hdr, counted from the packet's first byte
 * @csum_offset: as in struct virtio_net_hdr
 * @reserved:    RX: zero; TX: ignored
 * @reserved2:   RX: zero; TX: ignored
 *
 * The six vnet fields are zero for a packet that is complete as it stands; in the
 * machine's byte order otherwise.
 *
 * RX: every packet is complete, with its checksums, and no longer than the interface's
 * MTU says: what the stack sends in one piece, up to 64 KiB of a flow, is cut into
 * one record for each packet. Only what the program asked for with TUNSETOFFLOAD, on any
 * queue of the interface, comes whole: TUN_F_CSUM, with VIRTIO_NET_HDR_F_NEEDS_CSUM;
 * TUN_F_TSO4, TSO6, TSO_ECN, USO4 with USO6, with their gso_type. A ring that fills in
 * the middle of a cut packet takes what fits; the rest counts as dropped.
 *
 * TX: VIRTIO_NET_HDR_F_NEEDS_CSUM lets the stack complete the checksum at csum_start +
 * csum_offset, over the bytes from csum_start on; gso_type and gso_size describe a
 * packet of up to 64 KiB that stands for several, which needs F_NEEDS_CSUM too.
 * VIRTIO_NET_HDR_F_DATA_VALID says that the program knows the transport checksum to be
 * right, because a cipher has authenticated the packet: the stack does not verify it.
 * A program that says so of a corrupt packet hands that packet to its receiver.
 */
struct mytun_rec {
	__u32 size;
	__u32 len;
	__u16 off;
	__u16 flags;
	__u32 hash;
	__u16 proto;
	__u16 reserved;
	__u8 vnet_flags;
	__u8 gso_type;
	__u16 hdr_len;
	__u16 gso_size;
	__u16 csum_start;
	__u16 csum_offset;
	__u16 reserved2;
};

/**
 * struct mytun_info - answer of MYTUN_IOC_INFO
 * @abi_version:   MYTUN_ABI_VERSION of the module
 * @rings_flags:   the MYTUN_RINGS_F_* that the module knows
 * @ring_size_min: limits of rx_size and tx_size
 * @ring_size_max: limits of rx_size and tx_size
 * @queue:         index of this queue; it changes when a lower queue detaches.
 *                 ~0 when the file is not attached, or out of service by
 *                 TUNSETQUEUE
 * @ifindex:       index of the interface; 0 when the file is not attached
 * @queues_max:    the most queues of one interface
 * @mode_flags:    the MYTUN_MODE_F_* that the module knows; since version 2
 * @injections:    bit (1 << MYTUN_INJECT_*) for each that it knows; since version 2
 * @reserved:      zero
 */
struct mytun_info {
	__u32 abi_version;
	__u32 rings_flags;
	__u32 ring_size_min;
	__u32 ring_size_max;
	__u32 queue;
	__u32 ifindex;
	__u32 queues_max;
	__u32 mode_flags;
	__u32 injections;
	__u32 reserved[7];
};

/* mytun_mode.flags */
#define MYTUN_MODE_F_BACKPRESSURE (1U << 0) /* RX: hold the senders, drop nothing */
#define MYTUN_MODE_F_RECORDS	  (1U << 1) /* read(2) and write(2) carry records */

#define MYTUN_MODE_F_ALL (MYTUN_MODE_F_BACKPRESSURE | MYTUN_MODE_F_RECORDS)

/* mytun_mode.inject: who takes the packets of the TX ring up the stack. */
#define MYTUN_INJECT_SOFTIRQ 0U /* NAPI, in softirq on the CPU of the doorbell */
#define MYTUN_INJECT_THREAD  1U /* NAPI, in a kernel thread of the queue's own */
#define MYTUN_INJECT_DIRECT  2U /* the doorbell's caller, a packet at a time, no GRO */

/**
 * struct mytun_mode - argument of MYTUN_IOC_SET_MODE and MYTUN_IOC_GET_MODE
 * @flags:    MYTUN_MODE_F_*
 * @inject:   MYTUN_INJECT_*
 * @reserved: must be zero
 *
 * MYTUN_MODE_F_BACKPRESSURE. Where the interface's transmit queue has a queueing
 * discipline, the kernel stops it before the RX ring (without rings: the read queue)
 * is full, and packets wait there, where their senders feel it, instead of being dropped
 * here. It goes on when half is free, which a program with rings must tell it by a
 * doorbell, see "Sleeping" above. Without a queueing discipline nothing can be held
 * and the flag has no effect. An interface that has not been up before the
 * flag is set gets the system's default discipline when it comes up; others, see tc(8).
 *
 * MYTUN_MODE_F_RECORDS, for files without rings. read(2) fills its buffer with as
 * many records as fit and are there, at least one: struct mytun_rec, then the packet,
 * then zeros up to mytun_rec.size. It answers EMSGSIZE, and the packet stays, when not
 * even the first fits. write(2) takes as many records as it is given, each as in a TX
 * ring, and returns the bytes it took: all, or those before a record whose size or
 * place lies, EINVAL if that is the first. A record whose packet the stack would not
 * take is consumed and counted as dropped, as in a ring. TUN_PI and virtio headers
 * (IFF_NO_PI, IFF_VNET_HDR) are not used in this mode.
 */
struct mytun_mode {
	__u32 flags;
	__u32 inject;
	__u32 reserved[6];
};

/**
 * struct mytun_eventfds - argument of MYTUN_IOC_EVENTFDS
 * @rx:       an eventfd, signalled when poll(2) would be woken with POLLIN; -1: none
 * @tx:       an eventfd, signalled when poll(2) would be woken with POLLOUT; -1: none
 * @reserved: must be zero
 *
 * Both may be the same. Both are signalled when they are registered, so that nothing
 * that came before is missed, when the queue gets rings, and when the rings are faulted
 * or the queue is detached.
 * The queue holds them until it is closed or others take their place.
 */
struct mytun_eventfds {
	__s32 rx;
	__s32 tx;
	__u32 reserved[2];
};

/* 0xBE is not in the kernel's list of ioctl magics. */
#define MYTUN_IOC_MAGIC 0xBE

/*
 * MYTUN_IOC_RINGS - give an attached queue its rings; once in the life of a file.
 *   EBADFD  the file is not attached to an interface
 *   EBUSY   it has rings already
 *   EINVAL  a size is not a power of two or outside the limits, unknown flags,
 *           reserved fields not zero
 *   ENOMEM  no memory, or the limit of the caller's memory cgroup
 *   EINTR   a fatal signal while the memory was being allocated
 *   EFAULT  bad pointer
 * From then on read(2) and write(2) answer EBUSY (EBADFD once detached), packets that
 * were waiting to be read are lost, MYTUN_MODE_F_RECORDS is off, and the ioctls of
 * if_tun.h work as before, but for one: a file that has had rings cannot be attached
 * anew, TUNSETIFF answers EINVAL.
 *
 * mmap answers EINVAL before this ioctl or with another offset than 0 or another
 * length than map_size, EPERM without MAP_SHARED or with PROT_EXEC, and EACCES if the
 * file is not open for reading and writing, or EPERM if it is for reading and the
 * mapping, too. A mapping keeps
 * the open file alive: closing the descriptor neither detaches the queue nor
 * deletes the interface while something is mapped; MYTUN_IOC_DETACH does.
 *
 * poll: POLLIN|POLLHUP faulted or detached. Otherwise
 *   POLLIN   the record at rx_cons->pos is complete. With F_EVENT_IDX the record at
 *            rx_cons->event, where that lies between rx_cons->pos and the kernel's
 *            position: a program that keeps records waits for the one after them.
 *   POLLOUT  at least half of the TX ring is free. With F_EVENT_IDX the kernel's
 *            position has passed tx_prod->event, or that is not ahead of it.
 */
#define MYTUN_IOC_RINGS _IOWR(MYTUN_IOC_MAGIC, 1, struct mytun_rings)

/* Argument of MYTUN_IOC_DOORBELL. */
#define MYTUN_DOORBELL_TX 0 /* records wait in the TX ring */
#define MYTUN_DOORBELL_RX 1 /* room that the kernel waits for is free in the RX ring */

/*
 * MYTUN_IOC_DOORBELL - something has been done that the other side waits for. Does not
 * wait for anything; with MYTUN_INJECT_SOFTIRQ and MYTUN_INJECT_DIRECT the packets usually
 * went up the stack before it returns.
 *   EBADFD   the queue is detached
 *   EINVAL   the queue has no rings, or another argument
 *   EIO      the ring is faulted: a position or a record size lied
 *   ENETDOWN the interface is down; the records are consumed and dropped; not for
 *            MYTUN_DOORBELL_RX
 */
#define MYTUN_IOC_DOORBELL _IO(MYTUN_IOC_MAGIC, 2)

/*
 * MYTUN_IOC_DETACH - take the queue off its interface for good, as closing the
 * file does, though it may still be mapped. Deletes the interface with its last
 * queue unless it is persistent. Wakes every waiter.
 *   EBADFD  the queue is not attached
 *   EINVAL  the argument is not 0
 */
#define MYTUN_IOC_DETACH _IO(MYTUN_IOC_MAGIC, 3)

/* MYTUN_IOC_INFO - what this module can do and where this file is attached. */
#define MYTUN_IOC_INFO _IOR(MYTUN_IOC_MAGIC, 4, struct mytun_info)

/*
 * MYTUN_IOC_SET_MODE - how an attached queue works, from now on; at any time. Replaces
 * all of the mode: MYTUN_IOC_GET_MODE gives what there is. A file begins with zeros, and
 * does again when it is attached anew.
 *   EBADFD  the file is not attached
 *   EINVAL  unknown flags or injection, reserved fields not zero; F_RECORDS on a queue
 *           with rings
 *   ENOMEM, EINTR  no thread for MYTUN_INJECT_THREAD; nothing is changed
 *   EFAULT  bad pointer
 */
#define MYTUN_IOC_SET_MODE _IOW(MYTUN_IOC_MAGIC, 5, struct mytun_mode)
#define MYTUN_IOC_GET_MODE _IOR(MYTUN_IOC_MAGIC, 6, struct mytun_mode)

/*
 * MYTUN_IOC_EVENTFDS - signal these besides whoever polls the file. Attached or not.
 *   EBADF   not an open file
 *   EINVAL  not an eventfd; reserved fields not zero
 *   EFAULT  bad pointer
 */
#define MYTUN_IOC_EVENTFDS _IOW(MYTUN_IOC_MAGIC, 7, struct mytun_eventfds)

/**
 * mytun_need_event - must the sleeper be woken?
 * @event: what the sleeper wrote: the position whose passing it waits for
 * @pos:   where the other side is now
 * @old:   where it was when it looked at @event last
 *
 * True when the byte at position @event lies in [old, pos), in arithmetic modulo
 * 2^32; the rule of virtio's event index.
 */
static __inline__ int mytun_need_event(__u32 event, __u32 pos, __u32 old)
{
	return (__u32)(pos - event - 1) < (__u32)(pos - old);
}

#endif /* _UAPI_LINUX_MYTUN_H */
