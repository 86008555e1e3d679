/* SPDX-License-Identifier: MIT */
/* What the calls of a program work on, and the calls by what they are about. */
#ifndef WORLD_H
#define WORLD_H

#include <mytun.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FILES 4

/* An open file of the module; threads may change one under each other's hands. */
struct file {
	int fd;
	bool tap;
	bool pi; /* each packet of read(2) and write(2) has a struct tun_pi, */
	bool vnet; /* or a virtio header, before it */
	struct mytun_rings g;
	char *map; /* NULL: not mapped */
	uint32_t rx, tx; /* positions of the program's ends */
};

extern struct file files[FILES];

/* Sockets in the program's network namespace and in another. */
extern int ns_fd[2], inet_fd[2], route_fd[2];

/* Extended BPF: steers to queue 0, keeps all or a byte's worth, and is of no use here. */
#define PROGS 4
extern int prog_fd[PROGS];

void world_begin(void);
/* Everything is closed and unmapped, and the interfaces are gone. */
void world_clear(void);

/* Interfaces by number; the last names are there to be refused. */
#define NAMES 8
extern const char *const names[NAMES];

/* What calls are about: each file has its part of the table. */
void call_open(const uint64_t *a);
void call_close(const uint64_t *a);
void call_dup(const uint64_t *a);
void call_setiff(const uint64_t *a);
void call_setqueue(const uint64_t *a);
void call_setlong(const uint64_t *a);
void call_setint(const uint64_t *a);
void call_get(const uint64_t *a);
void call_hwaddr(const uint64_t *a);
void call_txfilter(const uint64_t *a);
void call_classic(const uint64_t *a);
void call_ebpf(const uint64_t *a);
void call_mode(const uint64_t *a);
void call_eventfds(const uint64_t *a);
void call_detach(const uint64_t *a);
void call_ioctl(const uint64_t *a);
void call_poll(const uint64_t *a);
void call_async(const uint64_t *a);
void call_sleep(const uint64_t *a);

void call_rings(const uint64_t *a);
void call_map(const uint64_t *a);
void call_unmap(const uint64_t *a);
void call_doorbell(const uint64_t *a);
void call_record(const uint64_t *a);
void call_burst(const uint64_t *a);
void call_publish(const uint64_t *a);
void call_give(const uint64_t *a);
void call_event(const uint64_t *a);
void call_scribble(const uint64_t *a);

void call_read(const uint64_t *a);
void call_write(const uint64_t *a);
void call_writerecords(const uint64_t *a);

void call_link(const uint64_t *a);
void call_address(const uint64_t *a);
void call_ifset(const uint64_t *a);
void call_dellink(const uint64_t *a);
void call_newlink(const uint64_t *a);
void call_rename(const uint64_t *a);
void call_move(const uint64_t *a);
void call_getlink(const uint64_t *a);
void call_qdisc(const uint64_t *a);
void call_sysfs(const uint64_t *a);
void call_ethtool(const uint64_t *a);

void call_udp(const uint64_t *a);
void call_frame(const uint64_t *a);
void call_tcp(const uint64_t *a);
void call_busypoll(const uint64_t *a);

#endif /* WORLD_H */
