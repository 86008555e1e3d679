/* SPDX-License-Identifier: MIT */
/* Small BPF programs, and frames whose first byte they look at. */
#ifndef BPF_PROGRAMS_H
#define BPF_PROGRAMS_H

#include <linux/filter.h>
#include <stdint.h>

#include "tun.h"

/* Extended: returns the frame's first byte of payload. */
int bpf_first_byte(void);
int bpf_constant(uint32_t value);
/* Of a type that no interface takes. */
int bpf_of_another_type(void);

/* Classic: the frame's first byte of payload, as the number of bytes to keep. */
extern struct sock_fprog cbpf_first_byte;
/* Classic: keeps @value bytes. The next call changes it. */
struct sock_fprog *cbpf_constant(uint32_t value);

/* Gives the interface a program by this ioctl, and closes it; what the ioctl returned. */
int ebpf_set(const struct tun *t, unsigned long cmd, int prog);

/* A TAP interface that is up. Its hardware address is always the same. */
struct tun tap_up(int flags);
/* Sends a frame of 100 bytes out of the interface, to itself unless @to is given. */
void frame_send(const struct tun *t, const void *to, uint8_t first_byte);
/* Says what is there to be read: for each frame its length and first byte. */
void frames_say(const struct tun *t);
/* How many frames there are to be read. */
unsigned int frames_count(const struct tun *t);

#endif /* BPF_PROGRAMS_H */
