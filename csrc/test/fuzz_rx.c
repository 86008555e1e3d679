// SPDX-License-Identifier: MIT
/*
 * The RX ring with anything in it: what the program finds lies in the ring, and there is an end of
 * it. Input: the kernel's position, in units of the alignment, how to use what is found, and
 * bytes of the data area.
 */
#include <string.h>

#include "fakekernel.h"
#include "fuzz.h"

#define SIZE 4096U

static struct mytun_rings rings = { .rx_size = SIZE, .tx_size = SIZE };

static void *new_map(void)
{
	int fd;

	fake_layout(&rings);
	fd = fake_create(&rings, 0);
	must_hold(fd >= 0);
	return fake_map(fd, &rings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char *map;
	uint32_t filled, found = 0;
	struct mytun_rx_ring rx;
	struct mytun_rec *rec;
	struct mytun_end *cons, *prod;

	if (!map)
		map = new_map();
	must_hold(map);
	if (size < 4)
		return 0;
	cons = (struct mytun_end *)(map + rings.rx_cons);
	prod = (struct mytun_end *)(map + rings.rx_prod);
	/* Anywhere, before the wrap of 32 bits too; a kernel is never more than the ring ahead. */
	cons->pos = (data[3] & 1 ? 0U - SIZE : 0) + (data[2] * 16U) % SIZE;
	filled = ((data[0] | (data[1] & 1U) << 8) * 16U) % (SIZE + 16);
	prod->pos = cons->pos + filled;
	prod->event = cons->pos + data[2];
	memset(map + rings.rx_data, 0, SIZE);
	for (size_t i = 4; i < size && i - 4 < SIZE; i++)
		map[rings.rx_data + ((cons->pos + i - 4) & (SIZE - 1))] = data[i];

	mytun_rx_init(&rx, map, &rings);
	rx.backpressure = data[3] & 2;
	while ((rec = mytun_rx_peek(&rx))) {
		uint32_t at = (uint32_t)((unsigned char *)rec - (map + rings.rx_data));
		uint32_t len = rec->size;

		must_hold(at < SIZE && !(at % MYTUN_REC_ALIGN));
		must_hold(len >= sizeof(*rec));
		found += len;
		must_hold(found <= filled);
		/* All of it is the program's. */
		memset(rec + 1, 0xff, len - sizeof(*rec));
		if (data[3] & 4)
			mytun_rx_release(&rx);
	}
	must_hold(mytun_rx_pos(&rx) == rx.next);
	/* No more than it has seen, whatever it is. */
	must_hold(mytun_rx_arm(&rx) != 1);
	mytun_rx_release(&rx);
	must_hold(prod->pos - cons->pos <= filled);
	return 0;
}
