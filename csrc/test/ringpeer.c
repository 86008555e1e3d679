// SPDX-License-Identifier: MIT
/*
 * ringpeer: one side of one ring, as a process of its own. The other side is a
 * test in whatever language; both map one file, see README here.
 */
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakekernel.h"
#include "pattern.h"
#include "wake.h"

static const char usage[] =
	"usage: ringpeer ROLE --fd FD --rx-size BYTES --tx-size BYTES [OPTION]...\n"
	"       ringpeer create --rx-size BYTES --tx-size BYTES [--pos P] -- CMD...\n"
	"\n"
	"ROLE  rx         program's end of the RX ring: consumes\n"
	"      tx         program's end of the TX ring: produces\n"
	"      kernel-rx  kernel's end of the RX ring: produces\n"
	"      kernel-tx  kernel's end of the TX ring: consumes\n"
	"      create     make the file and run CMD with it as descriptor 3\n"
	"\n"
	"  --fd FD          the shared file, open for reading and writing\n"
	"  --rx-size BYTES  data area of the RX ring, a power of two\n"
	"  --tx-size BYTES  data area of the TX ring, a power of two\n"
	"  --count N        records to move (1000)\n"
	"  --max-len BYTES  longest packet (1500)\n"
	"  --headroom BYTES, --tailroom BYTES  of RX records (0)\n"
	"  --batch N        records that a producer publishes at once (1)\n"
	"  --sleep FD       read 8 bytes here to sleep; without: spin\n"
	"  --wake FD        write 8 bytes here to wake the other side\n"
	"  --backpressure   rx wakes the other side when it waits for room, and kernel-rx\n"
	"                   waits for that instead of looking again\n"
	"  --pos P          create: where all positions begin (0)\n"
	"\n"
	"Exits with 0 when all records were right, 1 when not, 2 for a wrong usage.\n"
	"README in the source says how the file and the packets look.\n";

struct peer {
	int fd, sleep_fd, wake_fd;
	uint32_t count, max_len, batch, pos;
	bool backpressure;
	struct mytun_rings rings;
	void *map;
};

static void die(int status, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

static void die(int status, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("ringpeer: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(status);
}

static void peer_wake(const struct peer *p, bool needed)
{
	if (needed && p->wake_fd >= 0 && !wake(p->wake_fd))
		die(1, "can not write to the wake descriptor");
}

static void peer_sleep(const struct peer *p, uint32_t n)
{
	if (p->sleep_fd < 0)
		sched_yield();
	else if (!wake_wait(p->sleep_fd))
		die(1, "nobody woke me at record %u", n);
}

static void check(const struct peer *p, const unsigned char *packet,
		  uint32_t len, uint32_t n)
{
	if (len != pattern_len(n, p->max_len))
		die(1, "record %u has %u bytes, want %u", n, len,
		    pattern_len(n, p->max_len));
	if (!pattern_is(packet, len, n))
		die(1, "record %u has wrong bytes", n);
}

static void run_rx(struct peer *p)
{
	struct mytun_rx_ring rx;
	struct mytun_rec *rec;
	uint32_t n = 0;
	int ready;

	mytun_rx_init(&rx, p->map, &p->rings);
	rx.backpressure = p->backpressure;
	while (n < p->count) {
		while (n < p->count && (rec = mytun_rx_peek(&rx))) {
			if (rec->off != sizeof(*rec) + p->rings.rx_headroom)
				die(1, "record %u has offset %u", n, rec->off);
			check(p, mytun_rec_data(rec), rec->len, n++);
		}
		peer_wake(p, mytun_rx_release(&rx));
		if (n == p->count)
			break;
		ready = mytun_rx_arm(&rx);
		if (ready < 0)
			die(1, "no record at position %u", mytun_rx_pos(&rx));
		if (!ready)
			peer_sleep(p, n);
	}
}

static void run_tx(struct peer *p)
{
	struct mytun_tx_ring tx;
	struct mytun_rec *rec;
	uint32_t len;
	int room;

	mytun_tx_init(&tx, p->map, &p->rings);
	for (uint32_t n = 0; n < p->count; n++) {
		len = pattern_len(n, p->max_len);
		while (!(rec = mytun_tx_reserve(&tx, len))) {
			peer_wake(p, mytun_tx_publish(&tx));
			room = mytun_tx_arm(&tx, len);
			if (room < 0)
				die(1, "record %u can not fit", n);
			if (!room)
				peer_sleep(p, n);
		}
		pattern_fill(mytun_rec_data(rec), len, n);
		mytun_tx_commit(&tx, rec, len);
		if (n % p->batch == p->batch - 1 || n == p->count - 1)
			peer_wake(p, mytun_tx_publish(&tx));
	}
}

static void run_kernel_rx(struct peer *p)
{
	struct fake_kernel k;
	struct mytun_rec *rec;
	uint32_t len, pos;

	fake_kernel_init(&k, p->map, &p->rings);
	for (uint32_t n = 0; n < p->count; n++) {
		len = pattern_len(n, p->max_len);
		while (!(rec = fake_rx_reserve(&k, len, &pos))) {
			/* The module would drop: nothing tells it that there is room. */
			if (!p->backpressure)
				sched_yield();
			else if (fake_rx_stop(&k))
				peer_sleep(p, n);
		}
		pattern_fill(mytun_rec_data(rec), len, n);
		peer_wake(p, fake_rx_commit(&k, rec, pos));
	}
}

static void run_kernel_tx(struct peer *p)
{
	const unsigned char *packet;
	struct fake_kernel k;
	struct mytun_rec rec;
	uint32_t n = 0;

	fake_kernel_init(&k, p->map, &p->rings);
	while (n < p->count) {
		while (n < p->count && (packet = fake_tx_next(&k, &rec)))
			check(p, packet, rec.len, n++);
		peer_wake(p, fake_tx_consume(&k));
		if (n == p->count)
			break;
		if (!fake_tx_sane(&k))
			die(1, "position is wrong at record %u", n);
		if (fake_tx_arm(&k))
			peer_sleep(p, n);
	}
}

static const struct role {
	const char *name;
	void (*run)(struct peer *p);
} roles[] = {
	{ "rx", run_rx },
	{ "tx", run_tx },
	{ "kernel-rx", run_kernel_rx },
	{ "kernel-tx", run_kernel_tx },
};

static uint32_t number(const char *arg)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(arg, &end, 0);
	if (errno || *end || end == arg || n > UINT32_MAX)
		die(2, "%s: not a number", arg);
	return (uint32_t)n;
}

static void parse(struct peer *p, int argc, char **argv)
{
	static const struct option options[] = {
		{ "fd", 1, NULL, 'f' },
		{ "rx-size", 1, NULL, 'r' },
		{ "tx-size", 1, NULL, 't' },
		{ "count", 1, NULL, 'n' },
		{ "max-len", 1, NULL, 'l' },
		{ "headroom", 1, NULL, 'h' },
		{ "tailroom", 1, NULL, 'T' },
		{ "batch", 1, NULL, 'b' },
		{ "sleep", 1, NULL, 's' },
		{ "wake", 1, NULL, 'w' },
		{ "pos", 1, NULL, 'p' },
		{ "backpressure", 0, NULL, 'B' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		uint32_t n = optarg ? number(optarg) : 0;

		switch (c) {
		case 'f':
			p->fd = (int)n;
			break;
		case 'r':
			p->rings.rx_size = n;
			break;
		case 't':
			p->rings.tx_size = n;
			break;
		case 'n':
			p->count = n;
			break;
		case 'l':
			p->max_len = n;
			break;
		case 'h':
			p->rings.rx_headroom = (uint16_t)n;
			break;
		case 'T':
			p->rings.rx_tailroom = (uint16_t)n;
			break;
		case 'b':
			p->batch = n;
			break;
		case 's':
			p->sleep_fd = (int)n;
			break;
		case 'w':
			p->wake_fd = (int)n;
			break;
		case 'p':
			p->pos = n;
			break;
		case 'B':
			p->backpressure = true;
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (p->rings.rx_size < 4096 || p->rings.tx_size < 4096 || !p->max_len ||
	    !p->batch)
		die(2, "sizes are missing; --help tells");
	fake_layout(&p->rings);
}

static void create(struct peer *p, char **command)
{
	int fd = fake_create(&p->rings, p->pos);

	if (fd < 0)
		die(1, "memfd: %s", strerror(-fd));
	if (!command[0])
		die(2, "no command");
	if (dup2(fd, 3) < 0)
		die(1, "dup2: %s", strerror(errno));
	execvp(command[0], command);
	die(1, "%s: %s", command[0], strerror(errno));
}

int main(int argc, char **argv)
{
	struct peer p = {
		.fd = -1,
		.sleep_fd = -1,
		.wake_fd = -1,
		.count = 1000,
		.max_len = 1500,
		.batch = 1,
	};

	if (argc < 2 || !strcmp(argv[1], "--help")) {
		fputs(usage, argc < 2 ? stderr : stdout);
		return argc < 2 ? 2 : 0;
	}
	parse(&p, argc - 1, argv + 1);
	if (!strcmp(argv[1], "create"))
		create(&p, argv + 1 + optind);

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (strcmp(argv[1], roles[i].name))
			continue;
		p.map = fake_map(p.fd, &p.rings);
		if (!p.map)
			die(1, "can not map descriptor %d", p.fd);
		roles[i].run(&p);
		return 0;
	}
	die(2, "%s: no such role", argv[1]);
}
