/* SPDX-License-Identifier: MIT */
/* Does an interface still carry packets, whole and in both directions? */
#ifndef CARRY_H
#define CARRY_H

#include <stddef.h>
#include <stdint.h>

#include "ring.h"
#include "tun.h"

/* A frame of an interface of this kind that no protocol of the stack wants. */
struct frame {
	uint16_t proto;
	uint32_t len;
	uint8_t bytes[1 << 16];
};

void frame_new(struct frame *f, bool tap, size_t len, unsigned int seed);
/* The stack sends it out of the interface, from socket @raw; what send returned. */
int frame_out(int raw, const struct frame *f);
/* A socket that sees what the interface brings, and sends out of it. */
int frame_socket(const char *name);
/* How many frames came in by the interface and are at the socket. Each must be one of the @n of
 * @frames, whole, in their order and not twice.
 */
unsigned int frames_in(int raw, const struct frame *frames, unsigned int n);
/* How many more the socket had no memory for, since it was last asked. */
unsigned int frames_missed(int raw);

/* One packet each way, by read(2) and write(2). The interface is up, the file IFF_NO_PI. */
void carry_plain(const struct tun *t);
/* The same by rings. */
void carry_ring(const struct tun *t, struct ring *r);
/* Brings the interface up, and the same. */
void carry_up(const struct tun *t);

#endif /* CARRY_H */
