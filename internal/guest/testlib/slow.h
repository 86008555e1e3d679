/* SPDX-License-Identifier: MIT */
/*
 * Packets of write(2) that stay in the stack: they wait in the queueing discipline of
 * another port of a bridge, and count against the file's send buffer.
 */
#ifndef SLOW_H
#define SLOW_H

#include <stdbool.h>

#include "packet.h"
#include "tun.h"

/* By bash: the guest's sh has tools of its own, which know less. */
bool runs(const char *command);
void run(const char *command);
/* Two interfaces are ports of a bridge, and up. */
void bridge(const char *a, const char *b);

/* A TAP port "port0" of a bridge whose other port sends one packet, and keeps the others. */
struct tun slow_open(int sndbuf);
/* What was kept goes its way. */
void slow_release(void);
/* A frame of 1000 bytes that the bridge passes on. */
void slow_frame(struct packet *p);
/* Writes that frame until there is no room; the file does not block from then on. */
void slow_fill_up(struct tun *t, const struct packet *p);

#endif /* SLOW_H */
