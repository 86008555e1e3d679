// SPDX-License-Identifier: GPL-2.0
/*
 * Packets are copied from skbs into records, and get the checksum that the stack left to
 * its device: over what the skb holds, never over the record, which the program can
 * write already.
 *
 * Copying and summing are two passes. The kernel's functions that do both at once take
 * more instructions for the two than a string copy and csum_partial(), and by the second
 * pass the bytes are in the first-level cache.
 */
#include <linux/skbuff.h>
#include <net/checksum.h>

#include "internal.h"

/* A chunk for which the compiler can put string instructions in place of a call. */
#define MYTUN_COPY_CHUNK 4096

static __always_inline void mytun_copy(u8 *to, const u8 *from, unsigned int len)
{
	while (unlikely(len > MYTUN_COPY_CHUNK)) {
		memcpy(to, from, MYTUN_COPY_CHUNK);
		to += MYTUN_COPY_CHUNK;
		from += MYTUN_COPY_CHUNK;
		len -= MYTUN_COPY_CHUNK;
	}
	memcpy(to, from, len);
}

/**
 * mytun_reader_init - begin to read an skb
 * @reader: the place
 * @skb:    which mytun_can_read() accepts
 * @start:  offset in the linear part
 */
void mytun_reader_init(struct mytun_reader *reader, const struct sk_buff *skb,
		       unsigned int start)
{
	reader->frag = skb_shinfo(skb)->frags;
	reader->at = skb->data + start;
	reader->left = skb_headlen(skb) - start;
}

static void mytun_reader_next(struct mytun_reader *reader)
{
	const skb_frag_t *frag = reader->frag++;

	reader->at = skb_frag_address(frag);
	reader->left = skb_frag_size(frag);
}

/**
 * mytun_read - copy the next bytes
 * @reader: the place, which moves on
 * @to:     @len bytes
 * @len:    no more than the skb has
 */
void mytun_read(struct mytun_reader *reader, u8 *to, unsigned int len)
{
	unsigned int n;

	for (;;) {
		n = min(len, reader->left);
		mytun_copy(to, reader->at, n);
		reader->at += n;
		reader->left -= n;
		len -= n;
		if (!len)
			return;
		to += n;
		mytun_reader_next(reader);
	}
}

/**
 * mytun_read_and_sum - copy the next bytes and sum them up
 * @reader: the place, which moves on
 * @to:     @len bytes
 * @len:    no more than the skb has
 *
 * Return: their sum, as of bytes that begin at an even offset.
 */
__wsum mytun_read_and_sum(struct mytun_reader *reader, u8 *to, unsigned int len)
{
	unsigned int done = 0, n;
	__wsum sum = 0;

	for (;;) {
		n = min(len - done, reader->left);
		mytun_copy(to + done, reader->at, n);
		if (likely(!done))
			sum = csum_partial(reader->at, n, 0);
		else
			sum = csum_block_add(sum, csum_partial(reader->at, n, 0), done);
		reader->at += n;
		reader->left -= n;
		done += n;
		if (done == len)
			return sum;
		mytun_reader_next(reader);
	}
}

/* What cannot be read here; cannot fail for memory that the CPU can read. */
static noinline void mytun_copy_bits(const struct sk_buff *skb, u8 *to)
{
	/* But never hand out what was there before. */
	if (skb_copy_bits(skb, 0, to, skb->len))
		memset(to, 0, skb->len);
}

/**
 * mytun_copy_packet - copy a packet as it is
 * @skb: the packet
 * @to:  skb->len bytes
 */
void mytun_copy_packet(const struct sk_buff *skb, u8 *to)
{
	struct mytun_reader reader;

	if (likely(!skb_is_nonlinear(skb))) {
		mytun_copy(to, skb->data, skb->len);
	} else if (likely(mytun_can_read(skb))) {
		mytun_reader_init(&reader, skb, 0);
		mytun_read(&reader, to, skb->len);
	} else {
		mytun_copy_bits(skb, to);
	}
}

/* What is not in one piece: copied, and summed up from @start. */
static noinline __wsum mytun_copy_pieces_and_sum(const struct sk_buff *skb, u8 *to,
						 unsigned int start)
{
	struct mytun_reader reader;

	if (likely(mytun_can_read(skb) && start <= skb_headlen(skb))) {
		mytun_copy(to, skb->data, start);
		mytun_reader_init(&reader, skb, start);
		return mytun_read_and_sum(&reader, to + start, skb->len - start);
	}
	mytun_copy_bits(skb, to);
	return skb_checksum(skb, start, skb->len - start, 0);
}

/**
 * mytun_copy_and_finish - copy a packet whose checksum the stack left to its device
 * @skb: a packet with CHECKSUM_PARTIAL, not GSO
 * @to:  skb->len bytes
 *
 * What skb_checksum_help() and a copy would do.
 */
void mytun_copy_and_finish(const struct sk_buff *skb, u8 *to)
{
	unsigned int start = skb_checksum_start_offset(skb);
	__sum16 check;
	__wsum sum;

	if (likely(!skb_is_nonlinear(skb))) {
		mytun_copy(to, skb->data, skb->len);
		sum = csum_partial(skb->data + start, skb->len - start, 0);
	} else {
		sum = mytun_copy_pieces_and_sum(skb, to, start);
	}
	check = csum_fold(sum) ?: CSUM_MANGLED_0;
	memcpy(to + start + skb->csum_offset, &check, sizeof(check));
}
