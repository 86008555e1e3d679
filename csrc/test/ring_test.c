// SPDX-License-Identifier: MIT
/* The ring operations, one step at a time. */
#include <linux/virtio_net.h>
#include <string.h>

#include "pattern.h"
#include "rig.h"
#include "tap.h"

#define K	  4096U
#define NEAR_WRAP ((uint32_t)-64)

static void need_event_truth_table(void)
{
	static const struct {
		uint32_t event, pos, old;
		bool need;
	} rows[] = {
		/* Nothing moved: nobody is woken. */
		{ 0, 0, 0, false },
		{ 5, 7, 7, false },
		/* The event lies in [old, pos). */
		{ 0, 1, 0, true },
		{ 9, 20, 10, false },
		{ 10, 20, 10, true },
		{ 19, 20, 10, true },
		{ 20, 20, 10, false },
		/* The same across 2^32. */
		{ 0xfffffff0, 0x10, 0xfffffff0, true },
		{ 0xffffffff, 0x10, 0xfffffff0, true },
		{ 0x0f, 0x10, 0xfffffff0, true },
		{ 0x10, 0x10, 0xfffffff0, false },
		{ 0xffffffef, 0x10, 0xfffffff0, false },
		/* Event half the numbers away. */
		{ 0x80000000, 0x10, 0, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!!mytun_need_event(rows[i].event, rows[i].pos,
				       rows[i].old) != rows[i].need)
			tap_fail(__FILE__, __LINE__, "row %zu is not %d", i,
				 rows[i].need);
}

static void layout_of_structs(void)
{
	CHECK_EQ(sizeof(struct mytun_rings), 64);
	CHECK_EQ(offsetof(struct mytun_rings, map_size), 40);
	CHECK_EQ(sizeof(struct mytun_info), 64);
	CHECK_EQ(sizeof(struct mytun_end), 24);
	CHECK_EQ(offsetof(struct mytun_end, drops), 16);
	CHECK_EQ(sizeof(struct mytun_rec), 32);
	CHECK_EQ(offsetof(struct mytun_rec, vnet_flags), 20);
	CHECK_EQ(offsetof(struct mytun_rec, csum_offset), 28);
}

static void rec_size_is_aligned(void)
{
	CHECK_EQ(mytun_rec_size(0), 32);
	CHECK_EQ(mytun_rec_size(1), 48);
	CHECK_EQ(mytun_rec_size(16), 48);
	CHECK_EQ(mytun_rec_size(17), 64);
	CHECK_EQ(mytun_rec_size(MYTUN_RING_SIZE_MAX), MYTUN_RING_SIZE_MAX + 32);
}

static void rx_empty(void)
{
	struct rig rig;

	NEED(rig_open(&rig, K, K, 0));
	CHECK(!mytun_rx_peek(&rig.queue.rx));
	CHECK_EQ(mytun_rx_ready(&rig.queue.rx), 0);
	CHECK_EQ(mytun_rx_arm(&rig.queue.rx), 0);
	mytun_rx_release(&rig.queue.rx);
	CHECK_EQ(rig.kernel.rx_cons->pos, 0);
	rig_close(&rig);
}

static void rx_batch_in_order(void)
{
	struct mytun_rx_ring *rx;
	struct mytun_rec *rec;
	unsigned char packet[100];
	struct rig rig;

	NEED(rig_open_rooms(&rig, K, K, 0, 64, 32));
	rx = &rig.queue.rx;
	for (uint32_t n = 0; n < 10; n++) {
		pattern_fill(packet, 50 + n, n);
		CHECK(fake_rx_put(&rig.kernel, packet, 50 + n) >= 0);
	}
	for (uint32_t n = 0; n < 10; n++) {
		rec = mytun_rx_peek(rx);
		NEED(rec);
		CHECK_EQ(rec->len, 50 + n);
		CHECK_EQ(rec->off, 32 + 64);
		CHECK(pattern_is(mytun_rec_data(rec), rec->len, n));
	}
	CHECK(!mytun_rx_peek(rx));
	/* Nothing was given back so far. */
	CHECK_EQ(rig.kernel.rx_cons->pos, 0);
	mytun_rx_release(rx);
	CHECK_EQ(rig.kernel.rx_cons->pos, rig.kernel.rx_pos);
	rig_close(&rig);
}

static void rx_release_to_the_middle(void)
{
	struct mytun_rx_ring *rx;
	uint32_t first;
	struct rig rig;

	NEED(rig_open(&rig, K, K, 0));
	rx = &rig.queue.rx;
	CHECK(fake_rx_put(&rig.kernel, "one", 3) >= 0);
	CHECK(fake_rx_put(&rig.kernel, "two", 3) >= 0);
	NEED(mytun_rx_peek(rx));
	first = mytun_rx_pos(rx);
	NEED(mytun_rx_peek(rx));
	mytun_rx_release_to(rx, first);
	CHECK_EQ(rig.kernel.rx_cons->pos, 48);
	mytun_rx_release(rx);
	CHECK_EQ(rig.kernel.rx_cons->pos, 96);
	rig_close(&rig);
}

static void rx_header_is_the_programs(void)
{
	struct mytun_rx_ring *rx;
	struct mytun_rec *rec;
	struct rig rig;

	NEED(rig_open_rooms(&rig, K, K, 0, 16, 16));
	rx = &rig.queue.rx;
	CHECK(fake_rx_put(&rig.kernel, "one", 3) >= 0);
	CHECK(fake_rx_put(&rig.kernel, "two", 3) >= 0);
	rec = mytun_rx_peek(rx);
	NEED(rec);
	/* A program that overwrites all of its record must not lose its way. */
	memset(rec, 0xff, mytun_rec_size(3 + 32));
	rec = mytun_rx_peek(rx);
	NEED(rec);
	CHECK(!memcmp(mytun_rec_data(rec), "two", 3));
	mytun_rx_release(rx);
	CHECK_EQ(rig.kernel.rx_cons->pos, rig.kernel.rx_pos);
	rig_close(&rig);
}

static void rx_busy_record_hides_later_ones(void)
{
	struct mytun_rec *first, *second, *got;
	struct mytun_rx_ring *rx;
	uint32_t pos1, pos2;
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	rx = &rig.queue.rx;
	first = fake_rx_reserve(&rig.kernel, 100, &pos1);
	second = fake_rx_reserve(&rig.kernel, 200, &pos2);
	NEED(first && second);

	CHECK_EQ(mytun_rx_arm(rx), 0);
	/* The second is complete, but nobody waits for it. */
	CHECK(!fake_rx_commit(&rig.kernel, second, pos2));
	CHECK(!mytun_rx_peek(rx));
	CHECK_EQ(mytun_rx_ready(rx), 0);

	CHECK(fake_rx_commit(&rig.kernel, first, pos1));
	CHECK_EQ(mytun_rx_ready(rx), 1);
	got = mytun_rx_peek(rx);
	CHECK(got == first);
	got = mytun_rx_peek(rx);
	CHECK(got == second);
	CHECK(!mytun_rx_peek(rx));
	rig_close(&rig);
}

static void rx_record_across_the_end(void)
{
	struct mytun_rec *rec;
	struct mytun_rx_ring *rx;
	unsigned char packet[2000];
	struct rig rig;

	NEED(rig_open(&rig, K, K, 0));
	rx = &rig.queue.rx;
	for (uint32_t n = 0; n < 100; n++) {
		pattern_fill(packet, sizeof(packet), n);
		CHECK(fake_rx_put(&rig.kernel, packet, sizeof(packet)) >= 0);
		rec = mytun_rx_peek(rx);
		NEED(rec);
		CHECK_EQ(rec->len, sizeof(packet));
		CHECK(pattern_is(mytun_rec_data(rec), rec->len, n));
		mytun_rx_release(rx);
	}
	rig_close(&rig);
}

static void rx_full_ring(void)
{
	struct mytun_rx_ring *rx;
	unsigned char packet[K];
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	rx = &rig.queue.rx;
	memset(packet, 1, sizeof(packet));
	/* One record fills it to the last byte. */
	CHECK(fake_rx_put(&rig.kernel, packet, K - 32) >= 0);
	CHECK(fake_rx_put(&rig.kernel, packet, 0) < 0);
	NEED(mytun_rx_peek(rx));
	CHECK(!mytun_rx_peek(rx));
	CHECK(fake_rx_put(&rig.kernel, packet, 0) < 0);
	mytun_rx_release(rx);
	CHECK(fake_rx_put(&rig.kernel, packet, 0) >= 0);
	NEED(mytun_rx_peek(rx));
	rig_close(&rig);
}

static void rx_positions_wrap(void)
{
	struct mytun_rx_ring *rx;
	struct mytun_rec *rec;
	unsigned char packet[300];
	uint32_t len;
	struct rig rig;

	NEED(rig_open(&rig, K, K, (uint32_t) - (8 * K)));
	rx = &rig.queue.rx;
	for (uint32_t n = 0; n < 500; n++) {
		len = pattern_len(n, sizeof(packet));
		pattern_fill(packet, len, n);
		CHECK_EQ(mytun_rx_arm(rx), 0);
		CHECK_EQ(fake_rx_put(&rig.kernel, packet, len), 1);
		rec = mytun_rx_peek(rx);
		NEED(rec);
		CHECK_EQ(rec->len, len);
		CHECK(pattern_is(mytun_rec_data(rec), len, n));
		mytun_rx_release(rx);
	}
	CHECK(rig.kernel.rx_pos < 0x80000000);
	rig_close(&rig);
}

static void rx_no_wake_while_busy(void)
{
	struct mytun_rx_ring *rx;
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	rx = &rig.queue.rx;
	CHECK_EQ(mytun_rx_arm(rx), 0);
	CHECK_EQ(fake_rx_put(&rig.kernel, "a", 1), 1);
	CHECK_EQ(fake_rx_put(&rig.kernel, "b", 1), 0);
	CHECK_EQ(fake_rx_put(&rig.kernel, "c", 1), 0);
	CHECK_EQ(mytun_rx_arm(rx), 1);
	rig_close(&rig);
}

static void rx_leased_records_are_no_news(void)
{
	struct mytun_rx_ring *rx;
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	rx = &rig.queue.rx;
	CHECK(fake_rx_put(&rig.kernel, "a", 1) >= 0);
	NEED(mytun_rx_peek(rx));
	/* Not given back, and still it is the next one that wakes. */
	CHECK_EQ(mytun_rx_arm(rx), 0);
	CHECK_EQ(rig.kernel.rx_cons->event, rig.kernel.rx_pos);
	CHECK_EQ(fake_rx_put(&rig.kernel, "b", 1), 1);
	CHECK_EQ(fake_rx_put(&rig.kernel, "c", 1), 0);
	rig_close(&rig);
}

static void rx_bad_size_ends_it(void)
{
	static const uint32_t sizes[] = { 0, 4096 + 16, 1U << 30, 64 };
	struct mytun_rx_ring *rx;
	struct mytun_rec *rec;
	struct rig rig;
	uint32_t pos;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		NEED(rig_open(&rig, K, K, 0));
		rx = &rig.queue.rx;
		rec = fake_rx_reserve(&rig.kernel, 1, &pos);
		NEED(rec);
		fake_rx_commit(&rig.kernel, rec, pos);
		/* 64: beyond what the kernel has published. */
		rec->size = sizes[i];
		CHECK(!mytun_rx_peek(rx));
		CHECK_EQ(mytun_rx_ready(rx), -EPROTO);
		CHECK_EQ(mytun_rx_arm(rx), -EPROTO);
		rig_close(&rig);
	}
}

static void rx_owner_changes(void)
{
	struct mytun_rx_ring heir;
	struct mytun_rec *rec;
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	CHECK(fake_rx_put(&rig.kernel, "one", 3) >= 0);
	CHECK(fake_rx_put(&rig.kernel, "two", 3) >= 0);
	NEED(mytun_rx_peek(&rig.queue.rx));
	mytun_rx_release(&rig.queue.rx);
	NEED(mytun_rx_peek(&rig.queue.rx));

	mytun_rx_init(&heir, rig.queue.map, &rig.rings);
	rec = mytun_rx_peek(&heir);
	NEED(rec);
	CHECK(!memcmp(mytun_rec_data(rec), "two", 3));
	rig_close(&rig);
}

static void rx_release_tells_who_waits_for_room(void)
{
	struct mytun_rx_ring *rx;
	char packet[480] = { 1 };
	uint32_t half = 0;
	struct rig rig;

	for (int on = 0; on < 2; on++) {
		NEED(rig_open(&rig, K, K, NEAR_WRAP));
		rx = &rig.queue.rx;
		rx->backpressure = on;
		for (int n = 0; n < 8; n++)
			CHECK(fake_rx_put(&rig.kernel, packet, sizeof(packet)) >= 0);
		CHECK(fake_rx_stop(&rig.kernel));
		for (int n = 0; n < 8; n++) {
			NEED(mytun_rx_peek(rx));
			if (n == 3)
				half = mytun_rx_pos(rx);
		}
		CHECK(!mytun_rx_release_to(rx, half - 512));
		CHECK(fake_rx_stop(&rig.kernel));
		CHECK_EQ(mytun_rx_release_to(rx, half), on);
		CHECK(!fake_rx_stop(&rig.kernel));
		/* Once is enough. */
		CHECK(!mytun_rx_release(rx));
		CHECK(!mytun_rx_release(rx));
		rig_close(&rig);
	}
}

static void vnet_fields(void)
{
	struct mytun_rec rec;

	memset(&rec, 0xff, sizeof(rec));
	mytun_rec_init(&rec, 100);
	CHECK_EQ(rec.size, 144);
	CHECK_EQ(rec.len, 100);
	CHECK_EQ(rec.off, 32);
	CHECK_EQ(rec.flags | rec.hash | rec.proto | rec.reserved | rec.reserved2, 0);
	CHECK_EQ(rec.vnet_flags | rec.gso_type | rec.hdr_len | rec.gso_size, 0);
	CHECK_EQ(rec.csum_start | rec.csum_offset, 0);

	mytun_rec_set_verified(&rec);
	CHECK_EQ(rec.vnet_flags, VIRTIO_NET_HDR_F_DATA_VALID);

	mytun_rec_init(&rec, 100);
	mytun_rec_set_csum(&rec, 20, 16);
	mytun_rec_set_gso(&rec, VIRTIO_NET_HDR_GSO_TCPV4, 1448, 52);
	CHECK_EQ(rec.vnet_flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	CHECK_EQ(rec.csum_start, 20);
	CHECK_EQ(rec.csum_offset, 16);
	CHECK_EQ(rec.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	CHECK_EQ(rec.gso_size, 1448);
	CHECK_EQ(rec.hdr_len, 52);
}

static void records_of_a_buffer(void)
{
	uint64_t buf[64];
	size_t used = 0, pos = 0;
	struct mytun_rec *rec;

	for (uint32_t n = 0; n < 4; n++) {
		rec = mytun_records_put(buf, sizeof(buf), &used, 60 + n);
		NEED(rec);
		pattern_fill(mytun_rec_data(rec), 60 + n, n);
	}
	CHECK_EQ(used, 96 * 3 + 96);
	CHECK(!mytun_records_put(buf, sizeof(buf), &used, 97));
	CHECK(!mytun_records_put(buf, sizeof(buf), &used, UINT32_MAX));
	CHECK(mytun_records_put(buf, sizeof(buf), &used, 96));
	CHECK_EQ(used, sizeof(buf));
	CHECK(!mytun_records_put(buf, sizeof(buf), &used, 0));

	for (uint32_t n = 0; n < 4; n++) {
		rec = mytun_records_next(buf, sizeof(buf), &pos);
		NEED(rec);
		CHECK_EQ(rec->len, 60 + n);
		CHECK(pattern_is(mytun_rec_data(rec), rec->len, n));
	}
	NEED(mytun_records_next(buf, sizeof(buf), &pos));
	CHECK_EQ(pos, sizeof(buf));
	CHECK(!mytun_records_next(buf, sizeof(buf), &pos));
	CHECK(!mytun_records_next(buf, 0, &pos));
}

static void records_that_can_not_be(void)
{
	static const struct {
		uint32_t size, len;
		uint16_t off;
		size_t got;
	} rows[] = {
		{ 96, 64, 32, 95 },
		{ 96, 65, 32, 96 },
		{ 96, 64, 33, 96 },
		{ 96, 0, 97, 96 },
		{ 16, 0, 16, 96 },
		{ 0, 0, 32, 96 },
		{ 96, UINT32_MAX, 32, 96 },
		{ 96, 64, 32, 31 },
	};
	struct mytun_rec recs[3];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t pos = 0;

		mytun_rec_init(recs, 0);
		recs->size = rows[i].size;
		recs->len = rows[i].len;
		recs->off = rows[i].off;
		if (mytun_records_next(recs, rows[i].got, &pos) || pos)
			tap_fail(__FILE__, __LINE__, "row %zu is a record", i);
	}
}

static void errors_and_drops(void)
{
	struct mytun_end end = { .drops = 1ULL << 40 };

	CHECK_EQ(mytun_ring_error(&end), 0);
	CHECK(mytun_ring_drops(&end) == 1ULL << 40);
	end.flags = MYTUN_END_F_DETACHED;
	CHECK_EQ(mytun_ring_error(&end), -EBADFD);
	end.flags |= MYTUN_END_F_FAULT;
	CHECK_EQ(mytun_ring_error(&end), -EIO);
}

static void tx_reserve_commit_publish(void)
{
	const unsigned char *packet;
	struct mytun_tx_ring *tx;
	struct mytun_rec *rec, seen;
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	tx = &rig.queue.tx;
	memset(tx->data, 0xff, K);
	rec = mytun_tx_reserve(tx, 100);
	NEED(rec);
	pattern_fill(mytun_rec_data(rec), 100, 1);
	CHECK(!fake_tx_next(&rig.kernel, &seen));
	mytun_tx_commit(tx, rec, 100);
	CHECK(!fake_tx_next(&rig.kernel, &seen));
	CHECK(mytun_tx_publish(tx));
	CHECK(!mytun_tx_publish(tx));

	packet = fake_tx_next(&rig.kernel, &seen);
	NEED(packet);
	CHECK_EQ(seen.len, 100);
	CHECK(pattern_is(packet, 100, 1));
	/* What was in the memory before does not show in the header. */
	CHECK_EQ(seen.flags | seen.proto | seen.vnet_flags | seen.gso_type |
			 seen.hdr_len | seen.gso_size | seen.csum_start |
			 seen.csum_offset,
		 0);
	CHECK(!fake_tx_next(&rig.kernel, &seen));
	rig_close(&rig);
}

static void tx_commit_returns_the_tail(void)
{
	struct mytun_rec *a, *b, *c, seen;
	struct mytun_tx_ring *tx;
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	tx = &rig.queue.tx;
	a = mytun_tx_reserve(tx, 1000);
	b = mytun_tx_reserve(tx, 1000);
	NEED(a && b);
	/* A record that is followed by another keeps its place. */
	mytun_tx_commit(tx, a, 10);
	CHECK_EQ(a->size, 1040);
	mytun_tx_commit(tx, b, 10);
	CHECK_EQ(b->size, 48);
	c = mytun_tx_reserve(tx, 5);
	CHECK((char *)c == (char *)b + 48);
	mytun_tx_commit(tx, c, 5);
	CHECK(mytun_tx_publish(tx));
	for (int i = 0; i < 2; i++) {
		NEED(fake_tx_next(&rig.kernel, &seen));
		CHECK_EQ(seen.len, 10);
	}
	NEED(fake_tx_next(&rig.kernel, &seen));
	CHECK_EQ(seen.len, 5);
	rig_close(&rig);
}

static void tx_room_in_front(void)
{
	const unsigned char *packet;
	struct mytun_tx_ring *tx;
	struct mytun_rec *rec, seen;
	struct rig rig;

	NEED(rig_open(&rig, K, K, 0));
	tx = &rig.queue.tx;
	rec = mytun_tx_reserve(tx, 16 + 200);
	NEED(rec);
	/* 16 bytes of somebody's header, and then the packet. */
	rec->off += 16;
	pattern_fill(mytun_rec_data(rec), 100, 7);
	mytun_tx_commit(tx, rec, 100);
	CHECK_EQ(rec->size, mytun_rec_size(116));
	CHECK(mytun_tx_publish(tx));
	packet = fake_tx_next(&rig.kernel, &seen);
	NEED(packet);
	CHECK_EQ(seen.len, 100);
	CHECK(pattern_is(packet, 100, 7));
	rig_close(&rig);
}

static void tx_commit_covers_earlier_ones(void)
{
	struct mytun_rec *a, *b, *c, seen;
	struct mytun_tx_ring *tx;
	struct rig rig;

	NEED(rig_open(&rig, K, K, (uint32_t)-1024));
	tx = &rig.queue.tx;
	a = mytun_tx_reserve(tx, 1000);
	b = mytun_tx_reserve(tx, 1000);
	c = mytun_tx_reserve(tx, 1000);
	NEED(a && b && c);
	mytun_tx_commit(tx, b, 900);
	mytun_tx_cancel(tx);
	CHECK(mytun_tx_publish(tx));
	NEED(fake_tx_next(&rig.kernel, &seen));
	CHECK_EQ(seen.len, 1000);
	NEED(fake_tx_next(&rig.kernel, &seen));
	CHECK_EQ(seen.len, 900);
	CHECK(!fake_tx_next(&rig.kernel, &seen));
	CHECK(mytun_tx_reserve(tx, 1) == c);
	rig_close(&rig);
}

static void tx_skip_is_no_packet(void)
{
	struct mytun_rec *a, *b, *c, seen;
	struct mytun_tx_ring *tx;
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	tx = &rig.queue.tx;
	a = mytun_tx_reserve(tx, 100);
	b = mytun_tx_reserve(tx, 100);
	NEED(a && b);
	mytun_tx_skip(tx, a);
	mytun_tx_commit(tx, b, 60);
	c = mytun_tx_reserve(tx, 100);
	NEED(c);
	mytun_tx_skip(tx, c);
	CHECK(mytun_tx_publish(tx));
	NEED(fake_tx_next(&rig.kernel, &seen));
	CHECK_EQ(seen.len, 60);
	CHECK(!fake_tx_next(&rig.kernel, &seen));
	CHECK_EQ(rig.kernel.tx_pos, tx->published);
	rig_close(&rig);
}

static void tx_full_ring(void)
{
	struct mytun_tx_ring *tx;
	struct mytun_rec *rec, seen;
	int held = 0;
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	tx = &rig.queue.tx;
	while ((rec = mytun_tx_reserve(tx, 96))) {
		mytun_tx_commit(tx, rec, 96);
		held++;
	}
	CHECK_EQ(held, K / 128);
	CHECK(!mytun_tx_reserve(tx, 0));
	CHECK(mytun_tx_publish(tx));
	CHECK(fake_tx_sane(&rig.kernel));
	CHECK_EQ(mytun_tx_arm(tx, 96), 0);

	NEED(fake_tx_next(&rig.kernel, &seen));
	CHECK(fake_tx_consume(&rig.kernel));
	CHECK_EQ(mytun_tx_arm(tx, 97), 0);
	CHECK_EQ(mytun_tx_arm(tx, 96), 1);
	CHECK(mytun_tx_reserve(tx, 96));
	CHECK(!mytun_tx_reserve(tx, 0));
	rig_close(&rig);
}

static void tx_record_as_large_as_the_ring(void)
{
	struct mytun_tx_ring *tx;
	struct mytun_rec *rec, seen;
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	tx = &rig.queue.tx;
	CHECK_EQ(mytun_tx_len_max(tx), K - 32);
	CHECK(!mytun_tx_reserve(tx, K - 31));
	CHECK(!mytun_tx_reserve(tx, UINT32_MAX));
	CHECK(!mytun_tx_reserve(tx, UINT32_MAX - 40));
	CHECK_EQ(mytun_tx_arm(tx, K - 31), -EMSGSIZE);
	CHECK_EQ(mytun_tx_arm(tx, UINT32_MAX), -EMSGSIZE);
	CHECK_EQ(mytun_tx_arm(tx, UINT32_MAX - 40), -EMSGSIZE);

	for (uint32_t n = 0; n < 4; n++) {
		rec = mytun_tx_reserve(tx, K - 32);
		NEED(rec);
		pattern_fill(mytun_rec_data(rec), K - 32, n);
		mytun_tx_commit(tx, rec, K - 32);
		CHECK(mytun_tx_publish(tx));
		NEED(fake_tx_next(&rig.kernel, &seen));
		CHECK_EQ(seen.len, K - 32);
		CHECK(pattern_is(rig.kernel.map + rig.rings.tx_data +
					 ((uint32_t)(rig.kernel.tx_pos - K) & (K - 1)) +
					 seen.off,
				 seen.len, n));
		fake_tx_consume(&rig.kernel);
		CHECK(fake_tx_arm(&rig.kernel));
	}
	rig_close(&rig);
}

static void tx_wait_for_own_reservation(void)
{
	struct mytun_tx_ring *tx;
	struct mytun_rec *rec;
	struct rig rig;

	NEED(rig_open(&rig, K, K, 0));
	tx = &rig.queue.tx;
	rec = mytun_tx_reserve(tx, 3000);
	NEED(rec);
	/* What is not published is never consumed: sleeping would be for ever. */
	CHECK_EQ(mytun_tx_arm(tx, 3000), -EMSGSIZE);
	mytun_tx_commit(tx, rec, 3000);
	CHECK_EQ(mytun_tx_arm(tx, 3000), -EMSGSIZE);
	mytun_tx_publish(tx);
	CHECK_EQ(mytun_tx_arm(tx, 3000), 0);
	rig_close(&rig);
}

static void tx_one_doorbell_for_many(void)
{
	struct mytun_tx_ring *tx;
	struct mytun_rec *rec, seen;
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	tx = &rig.queue.tx;
	for (int i = 0; i < 5; i++) {
		rec = mytun_tx_reserve(tx, 40);
		NEED(rec);
		mytun_tx_commit(tx, rec, 40);
		/* Only the first needs it: the kernel is on its way. */
		CHECK_EQ(mytun_tx_publish(tx), i == 0);
	}
	while (fake_tx_next(&rig.kernel, &seen))
		;
	fake_tx_consume(&rig.kernel);
	CHECK(fake_tx_arm(&rig.kernel));
	rec = mytun_tx_reserve(tx, 40);
	NEED(rec);
	mytun_tx_commit(tx, rec, 40);
	CHECK(mytun_tx_publish(tx));
	CHECK(!fake_tx_arm(&rig.kernel));
	rig_close(&rig);
}

static void tx_wakes_at_the_asked_position(void)
{
	struct mytun_tx_ring *tx;
	struct mytun_rec *rec, seen;
	struct rig rig;

	NEED(rig_open(&rig, K, K, NEAR_WRAP));
	tx = &rig.queue.tx;
	for (int i = 0; i < 4; i++) {
		rec = mytun_tx_reserve(tx, 1024 - 32);
		NEED(rec);
		mytun_tx_commit(tx, rec, 1024 - 32);
	}
	CHECK(mytun_tx_publish(tx));
	/* Two of the four must go before this one fits. */
	CHECK_EQ(mytun_tx_arm(tx, 2048 - 32), 0);
	for (int i = 0; i < 4; i++) {
		NEED(fake_tx_next(&rig.kernel, &seen));
		CHECK_EQ(fake_tx_consume(&rig.kernel), i == 1);
		CHECK_EQ(mytun_tx_has_room(tx, 2048), i >= 1);
	}
	rig_close(&rig);
}

static void tx_positions_wrap(void)
{
	struct mytun_tx_ring *tx;
	struct mytun_rec *rec, seen;
	const unsigned char *packet;
	uint32_t len;
	struct rig rig;

	NEED(rig_open(&rig, K, K, (uint32_t) - (8 * K)));
	tx = &rig.queue.tx;
	for (uint32_t n = 0; n < 500; n++) {
		len = pattern_len(n, 1500);
		CHECK_EQ(mytun_tx_arm(tx, 1500), 1);
		rec = mytun_tx_reserve(tx, 1500);
		NEED(rec);
		pattern_fill(mytun_rec_data(rec), len, n);
		mytun_tx_commit(tx, rec, len);
		CHECK(mytun_tx_publish(tx));
		packet = fake_tx_next(&rig.kernel, &seen);
		NEED(packet);
		CHECK_EQ(seen.len, len);
		CHECK(pattern_is(packet, len, n));
		fake_tx_consume(&rig.kernel);
		CHECK(fake_tx_arm(&rig.kernel));
	}
	CHECK(rig.kernel.tx_pos < 0x80000000);
	rig_close(&rig);
}

const struct test ring_tests[] = {
	{ "need_event_truth_table", need_event_truth_table },
	{ "layout_of_structs", layout_of_structs },
	{ "rec_size_is_aligned", rec_size_is_aligned },
	{ "rx_empty", rx_empty },
	{ "rx_batch_in_order", rx_batch_in_order },
	{ "rx_release_to_the_middle", rx_release_to_the_middle },
	{ "rx_header_is_the_programs", rx_header_is_the_programs },
	{ "rx_busy_record_hides_later_ones", rx_busy_record_hides_later_ones },
	{ "rx_record_across_the_end", rx_record_across_the_end },
	{ "rx_full_ring", rx_full_ring },
	{ "rx_positions_wrap", rx_positions_wrap },
	{ "rx_no_wake_while_busy", rx_no_wake_while_busy },
	{ "rx_leased_records_are_no_news", rx_leased_records_are_no_news },
	{ "rx_bad_size_ends_it", rx_bad_size_ends_it },
	{ "rx_owner_changes", rx_owner_changes },
	{ "rx_release_tells_who_waits_for_room", rx_release_tells_who_waits_for_room },
	{ "vnet_fields", vnet_fields },
	{ "records_of_a_buffer", records_of_a_buffer },
	{ "records_that_can_not_be", records_that_can_not_be },
	{ "errors_and_drops", errors_and_drops },
	{ "tx_reserve_commit_publish", tx_reserve_commit_publish },
	{ "tx_commit_returns_the_tail", tx_commit_returns_the_tail },
	{ "tx_room_in_front", tx_room_in_front },
	{ "tx_commit_covers_earlier_ones", tx_commit_covers_earlier_ones },
	{ "tx_skip_is_no_packet", tx_skip_is_no_packet },
	{ "tx_full_ring", tx_full_ring },
	{ "tx_record_as_large_as_the_ring", tx_record_as_large_as_the_ring },
	{ "tx_wait_for_own_reservation", tx_wait_for_own_reservation },
	{ "tx_one_doorbell_for_many", tx_one_doorbell_for_many },
	{ "tx_wakes_at_the_asked_position", tx_wakes_at_the_asked_position },
	{ "tx_positions_wrap", tx_positions_wrap },
	{ NULL, NULL },
};
