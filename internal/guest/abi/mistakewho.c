// SPDX-License-Identifier: MIT
/* Mistakes that others have paid for: who somebody is, and what he may. */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "tun.h"
#include "who.h"

struct writer {
	struct tun t;
	struct packet p;
};

static void write_as_user(void *arg)
{
	const struct who user = { .uid = USER, .gid = USER };
	struct writer *w = arg;
	struct ifreq ifr;
	int fd;

	become(&user);
	fd = tun_open_file();
	must(tun_set_iff(fd, w->t.name, IFF_TUN | IFF_NO_PI, &ifr));
	expect_eq(must(write(fd, w->p.bytes, w->p.len)), w->p.len);
}

/* Not that of the device node, root's, by which firewall rules would let everybody pass. */
TEST(wrong_owner_of_the_socket_CVE_2023_1076)
{
	static struct writer w = { .t = { .name = "users" } };
	uint8_t payload[1400] = {}, got[2000];
	struct pollfd p = { .events = POLLIN };

	prepared("users", USER, -1);
	iface_up("users");
	packet_inbound(&w.p, &w.t, AF_INET, payload, sizeof(payload));
	p.fd = uid_capture("users");
	spawn_wait(spawn(write_as_user, &w));
	expect_eq(must(poll(&p, 1, 5000)), 1);
	/* So many bytes of 1428 are left as the number of the user, 0 for root. */
	expect_eq(must(recv(p.fd, got, sizeof(got), 0)), USER);
	iface_del("users");
}

TEST(attaching_to_an_ownerless_device_without_CAP_NET_ADMIN_CVE_2026_99281)
{
	prepared("nobodys", -1, -1);
	attach(USER, USER, 0, "nobodys", EPERM);
	attach(USER, 0, 0, "nobodys", EPERM);
	attach(OTHER, OTHER, GROUP, "nobodys", EPERM);
	expect(!(iface_flags("nobodys") & IFF_RUNNING));
	attach(0, 0, 0, "nobodys", 0);
	iface_del("nobodys");
}
