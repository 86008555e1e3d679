// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "send.h"

#include <linux/if_packet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"

static int socket_of(const char *ifname)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_ifindex = iface_index(ifname) };
	int fd = must(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
	int size = 1 << 24;

	ll.sll_protocol = 0; /* receives nothing */
	must(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)));
	must(bind(fd, (struct sockaddr *)&ll, sizeof(ll)));
	return fd;
}

/* Half of them short, and the others of any length. */
static uint32_t any_len(uint32_t number, uint32_t mtu)
{
	uint32_t random = number * 2654435761U >> 8;
	uint32_t most = random % 2 && mtu > 256 ? 256 : mtu;

	return STAMP_MIN + random / 2 % (most - STAMP_MIN + 1);
}

/* One system call for each: it says what became of that packet. */
static void send_one(struct sender *s, int fd, const struct sockaddr_ll *to, const void *frame,
		     size_t len)
{
	if (sendto(fd, frame, len, 0, (const struct sockaddr *)to, sizeof(*to)) >= 0) {
		s->sent++;
	} else if (errno == ENOBUFS) {
		s->sent++;
		s->refused++;
	} else if (errno != EMSGSIZE) { /* the MTU changed, and it never came to the interface */
		fail("sendto: %s", strerrorname(errno));
	}
}

static void *send_all(void *arg)
{
	struct sender *s = arg;
	struct senders *all = s->all;
	const struct stamps *stamps = all->stamps;
	struct sockaddr_ll ll = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETHERTYPE_IP),
		.sll_ifindex = iface_index(all->name),
	};
	uint8_t *frame = malloc(ETH_HLEN + STAMP_MAX);
	int fd = socket_of(all->name);

	expect(frame != NULL);
	for (uint32_t n = s->first; n < all->packets; n += SENDERS) {
		uint32_t len = all->len ?: any_len(n, __atomic_load_n(&all->mtu, __ATOMIC_RELAXED));

		if (__atomic_load_n(&all->stop, __ATOMIC_RELAXED))
			break;
		send_one(s, fd, &ll, frame, stamp_build(stamps, frame, n, len, false));
	}
	close(fd);
	free(frame);
	return NULL;
}

void senders_begin(struct senders *s)
{
	/* So that each flow is one sender's. */
	expect(s->stamps->flows % SENDERS == 0);
	for (uint32_t i = 0; i < SENDERS; i++) {
		s->of[i] = (struct sender){ .all = s, .first = i };
		must(-pthread_create(&s->of[i].thread, NULL, send_all, &s->of[i]));
	}
}

void senders_end(struct senders *s, uint64_t *sent, uint64_t *refused)
{
	*sent = *refused = 0;
	for (int i = 0; i < SENDERS; i++) {
		pthread_join(s->of[i].thread, NULL);
		*sent += s->of[i].sent;
		*refused += s->of[i].refused;
	}
}
