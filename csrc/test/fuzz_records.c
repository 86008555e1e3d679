// SPDX-License-Identifier: MIT
/* Any bytes as what read(2) has filled a buffer with; and a buffer that is filled for write(2). */
#include <string.h>

#include "../libmytun.h"
#include "fuzz.h"

/* Each record lies in the buffer, behind the one before, and its packet in it. */
static void walk(const uint8_t *data, size_t size)
{
	/* Of just that size: the sanitizer sees a step beyond it. */
	void *buf = aligned_alloc(16, (size + 15) / 16 * 16 + 16);
	unsigned char *bytes = buf;
	struct mytun_rec *rec;
	size_t pos = 0, before = 0;

	must_hold(buf);
	memcpy(bytes, data, size);
	while ((rec = mytun_records_next(buf, size, &pos))) {
		must_hold((unsigned char *)rec == bytes + before);
		must_hold(pos > before && pos <= size);
		must_hold(mytun_rec_data(rec) + rec->len <= bytes + pos);
		/* The program may write to all of it. */
		if (rec->off >= sizeof(*rec))
			memset(mytun_rec_data(rec), 0, rec->len);
		before = pos;
	}
	must_hold(pos == before);
	free(buf);
}

/* What is put is what is found, one for one. */
static void put(const uint8_t *data, size_t size)
{
	static _Alignas(16) unsigned char buf[8192];
	size_t room = size ? data[0] * 32U : 0, used = 0, pos = 0, n = 0;
	struct mytun_rec *rec;

	for (size_t i = 1; i + 1 < size; i += 2) {
		uint32_t len = data[i] | (uint32_t)data[i + 1] << (data[i] & 31);

		rec = mytun_records_put(buf, room, &used, len);
		if (!rec)
			continue;
		must_hold(used <= room && rec->len == len);
		memset(mytun_rec_data(rec), (int)n, len);
		n++;
	}
	while ((rec = mytun_records_next(buf, used, &pos))) {
		n--;
		must_hold(!(pos % MYTUN_REC_ALIGN));
	}
	must_hold(!n && pos == used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	walk(data, size);
	put(data, size);
	return 0;
}
