// SPDX-License-Identifier: MIT
/*
 * simpletun: a network interface whose cable is UDP.
 *
 * The classic example of a TUN program, on mytun's rings: packets are sent from
 * where they lie in the ring and received into it, up to 64 for one system call.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "forward.h"

static const char usage_text[] =
	"usage: simpletun -i IFNAME {-s | -c ADDRESS} [-p PORT] [-a tun|tap] [-n NODE]\n"
	"\n"
	"  -i IFNAME   interface, made if it is not there; may hold %d\n"
	"  -s          server: waits for a peer\n"
	"  -c ADDRESS  client of a server at this IPv4 or IPv6 address\n"
	"  -p PORT     UDP port of the server (55555)\n"
	"  -a tun|tap  the interface carries IP packets (tun) or Ethernet frames (tap)\n"
	"  -n NODE     device node (" MYTUN_DEVICE ")\n"
	"\n"
	"Give the interface its address, and an MTU for which there is room in UDP:\n"
	"  ip addr add 10.0.0.1/24 dev IFNAME; ip link set IFNAME mtu 1420 up\n"
	"\n"
	"An example, and no VPN: nothing is encrypted, anybody who can reach the server's\n"
	"port can inject packets and become its peer, one peer at a time, no keepalive, no\n"
	"segmentation offload, packets of at most 2048 bytes.\n";

struct options {
	char name[MYTUN_NAME_SIZE];
	const char *node;
	const char *server; /* NULL: be it */
	uint16_t port;
	uint16_t flags;
};

static volatile sig_atomic_t stopping;
static int stop_fd;

static void on_signal(int sig)
{
	uint64_t one = 1;

	(void)sig;
	stopping = 1;
	/* The loop may be just about to sleep. A full counter wakes it as well. */
	if (write(stop_fd, &one, sizeof(one)) < 0)
		return;
}

static int catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (stop_fd < 0)
		return -errno;
	if (sigaction(SIGINT, &sa, NULL) || sigaction(SIGTERM, &sa, NULL))
		return -errno;
	return 0;
}

static void die(const char *what, int err)
{
	fprintf(stderr, "simpletun: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void usage(const char *why)
{
	fprintf(stderr, "simpletun: %s\n%s", why, usage_text);
	exit(2);
}

static uint16_t parse_port(const char *arg)
{
	char *end;
	unsigned long port = strtoul(arg, &end, 10);

	if (*end || end == arg || !port || port > 65535)
		usage("not a port");
	return (uint16_t)port;
}

static uint16_t parse_kind(const char *arg)
{
	if (!strcmp(arg, "tun"))
		return IFF_TUN;
	if (!strcmp(arg, "tap"))
		return IFF_TAP;
	usage("-a takes tun or tap");
	return 0;
}

static void parse(struct options *o, int argc, char **argv)
{
	bool server = false;
	int c;

	memset(o, 0, sizeof(*o));
	o->port = 55555;
	o->flags = IFF_TUN | IFF_NO_PI;
	while ((c = getopt(argc, argv, "i:sc:p:a:n:h")) != -1) {
		switch (c) {
		case 'i':
			if (strlen(optarg) >= sizeof(o->name))
				usage("the name is too long");
			strcpy(o->name, optarg);
			break;
		case 's':
			server = true;
			break;
		case 'c':
			o->server = optarg;
			break;
		case 'p':
			o->port = parse_port(optarg);
			break;
		case 'a':
			o->flags = (uint16_t)(parse_kind(optarg) | IFF_NO_PI);
			break;
		case 'n':
			o->node = optarg;
			break;
		case 'h':
			fputs(usage_text, stdout);
			exit(0);
		default:
			usage("that is not how");
		}
	}
	if (optind < argc || !o->name[0] || server == !!o->server)
		usage("an interface, and either -s or -c");
}

/* Return: bytes of the address, 0 when it is none. */
static socklen_t parse_address(struct sockaddr_storage *to, const char *text,
			       uint16_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
	struct sockaddr_in *in = (struct sockaddr_in *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		return sizeof(*in6);
	}
	return 0;
}

static int listen_on(const char *any, uint16_t port)
{
	struct sockaddr_storage addr;
	socklen_t size = parse_address(&addr, any, port);
	int sock = socket(addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int off = 0, err;

	if (sock < 0)
		return -errno;
	/* IPv4 peers come in here too, as mapped addresses. */
	if (addr.ss_family == AF_INET6)
		setsockopt(sock, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (!bind(sock, (struct sockaddr *)&addr, size))
		return sock;
	err = -errno;
	close(sock);
	return err;
}

static void open_server(struct tunnel *t, const struct options *o)
{
	t->follow = true;
	t->sock = listen_on("::", o->port);
	if (t->sock == -EAFNOSUPPORT || t->sock == -EADDRNOTAVAIL)
		t->sock = listen_on("0.0.0.0", o->port);
	if (t->sock < 0)
		die("UDP port", t->sock);
}

static void open_client(struct tunnel *t, const struct options *o)
{
	t->peer_size = parse_address(&t->peer, o->server, o->port);
	if (!t->peer_size)
		usage("-c takes an IPv4 or IPv6 address");
	t->sock = socket(t->peer.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (t->sock < 0)
		die("socket", -errno);
	/* Tells the server where we are, if it is there already. */
	sendto(t->sock, "", 0, 0, (struct sockaddr *)&t->peer, t->peer_size);
}

/* Room for the bursts that come while the program does something else. */
static void enlarge_buffers(int sock)
{
	int bytes = 4 << 20;

	setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/* Return: 0 after a signal, -errno when the interface is gone. */
static int run(struct tunnel *t)
{
	int out, in, err = 0;

	while (!stopping && !err) {
		out = forward_out(t);
		in = forward_in(t);
		if (in < 0)
			err = in;
		else if (!out && !in)
			err = forward_sleep(t, stop_fd);
	}
	return err;
}

static void report(const struct tunnel *t)
{
	fprintf(stderr,
		"simpletun: out %" PRIu64 " packets, %" PRIu64 " dropped; "
		"in %" PRIu64 " packets, %" PRIu64 " dropped; "
		"the kernel dropped %" PRIu64 " out, %" PRIu64 " in\n",
		t->out.packets, t->out.dropped, t->in.packets, t->in.dropped,
		mytun_ring_drops(t->queue.rx.prod),
		mytun_ring_drops(t->queue.tx.cons));
}

int main(int argc, char **argv)
{
	struct mytun_rings rings = { .flags = 0 };
	static struct tunnel tunnel;
	struct options o;
	int err;

	parse(&o, argc, argv);
	err = catch_signals();
	if (err)
		die("signals", err);
	if (o.server)
		open_client(&tunnel, &o);
	else
		open_server(&tunnel, &o);
	enlarge_buffers(tunnel.sock);
	err = mytun_queue_open(&tunnel.queue, o.node, o.name, o.flags, &rings);
	if (err)
		die(o.node ? o.node : MYTUN_DEVICE, err);
	fprintf(stderr, "simpletun: interface %s\n", o.name);

	err = run(&tunnel);
	report(&tunnel);
	mytun_queue_close(&tunnel.queue);
	close(tunnel.sock);
	if (err)
		die(o.name, err);
	return 0;
}
