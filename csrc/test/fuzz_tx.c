// SPDX-License-Identifier: MIT
/* The TX ring: whatever a program does with it, the kernel gets what was committed, in order. */
#include <string.h>

#include "fakekernel.h"
#include "fuzz.h"

#define SIZE 4096U
#define MANY 4096U

/* A packet that the kernel shall find: its length, and what all of its bytes are. */
struct packet {
	uint32_t len;
	unsigned char fill;
};

static struct mytun_rings rings = { .rx_size = SIZE, .tx_size = SIZE };
static struct fake_kernel kernel;
static struct mytun_tx_ring tx;

/* Reserved and not committed; committed and not consumed, of which some are published. */
static struct mytun_rec *held[SIZE / 32];
static uint32_t held_len[SIZE / 32];
static unsigned int held_n;
static struct packet want[MANY];
static unsigned int want_from, want_to, published;

static void begin(uint32_t pos)
{
	static void *map;
	int fd;

	if (!map) {
		fake_layout(&rings);
		fd = fake_create(&rings, 0);
		must_hold(fd >= 0);
		map = fake_map(fd, &rings);
		must_hold(map);
	}
	fake_kernel_init(&kernel, map, &rings);
	kernel.tx_prod->pos = pos;
	kernel.tx_cons->pos = pos;
	kernel.tx_pos = pos;
	kernel.tx_told = pos;
	mytun_tx_init(&tx, map, &rings);
	held_n = want_from = want_to = published = 0;
}

static void reserve(uint32_t len)
{
	int fits = mytun_tx_arm(&tx, len);
	struct mytun_rec *rec = mytun_tx_reserve(&tx, len);

	must_hold((fits == 1) == !!rec);
	if (!rec)
		return;
	must_hold(mytun_rec_data(rec) + len <= tx.data + 2 * SIZE);
	memset(mytun_rec_data(rec), (int)(len & 0xff), len);
	held[held_n] = rec;
	held_len[held_n++] = len;
}

static void wanted(uint32_t len, uint32_t filled)
{
	want[want_to++ % MANY] = (struct packet){ len, (unsigned char)(filled & 0xff) };
}

/* Commits or skips one that is held, and with it all before it. */
static void commit(unsigned int which, uint32_t less, bool skip)
{
	uint32_t len;

	if (!held_n)
		return;
	which %= held_n;
	for (unsigned int i = 0; i < which; i++)
		wanted(held_len[i], held_len[i]);
	len = held_len[which] - less % (held_len[which] + 1);
	if (skip) {
		mytun_tx_skip(&tx, held[which]);
	} else {
		wanted(len, held_len[which]);
		mytun_tx_commit(&tx, held[which], len);
	}
	held_n -= which + 1;
	memmove(held, held + which + 1, held_n * sizeof(held[0]));
	memmove(held_len, held_len + which + 1, held_n * sizeof(held_len[0]));
}

static void consume(unsigned int n)
{
	const unsigned char *packet;
	struct mytun_rec rec;

	must_hold(fake_tx_sane(&kernel));
	while (n-- && (packet = fake_tx_next(&kernel, &rec))) {
		struct packet *w = &want[want_from % MANY];

		must_hold(want_from != published);
		must_hold(rec.len == w->len);
		for (uint32_t i = 0; i < rec.len; i++)
			must_hold(packet[i] == w->fill);
		want_from++;
	}
	fake_tx_consume(&kernel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin(size && data[0] & 1 ? 0U - SIZE / 2 : 0);
	for (size_t i = 1; i + 1 < size && i < MANY; i += 2) {
		unsigned int arg = data[i + 1];

		switch (data[i] % 8) {
		case 0:
		case 1:
			reserve(arg * (data[i] & 8 ? 17 : 1));
			break;
		case 2:
			commit(arg, 0, false);
			break;
		case 3:
			commit(arg, arg / 2, false);
			break;
		case 4:
			commit(arg, 0, true);
			break;
		case 5:
			mytun_tx_cancel(&tx);
			held_n = 0;
			break;
		case 6:
			mytun_tx_publish(&tx);
			published = want_to;
			break;
		case 7:
			consume(arg);
			break;
		}
	}
	mytun_tx_cancel(&tx);
	mytun_tx_publish(&tx);
	published = want_to;
	consume(MANY);
	must_hold(want_from == want_to);
	must_hold(kernel.tx_pos == tx.reserved);
	return 0;
}
