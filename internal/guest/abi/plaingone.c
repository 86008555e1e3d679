// SPDX-License-Identifier: MIT
/* The interface goes, or moves away, under a file without rings. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "packet.h"
#include "slow.h"
#include "tun.h"

static void delete_when_asleep(void *arg)
{
	wait_asleep(getppid());
	iface_del(arg);
}

TEST(a_reader_is_woken_when_its_interface_is_deleted)
{
	struct tun t = tun_open_up(IFF_TUN);
	pid_t child = spawn(delete_when_asleep, t.name);
	char buf[100];

	expect_errno(read(t.fd, buf, sizeof(buf)), EBADFD);
	spawn_wait(child);
	expect(!iface_exists(t.name));
}

TEST(poll_is_woken_when_its_interface_is_deleted)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct pollfd p = { .fd = t.fd, .events = POLLIN };
	pid_t child = spawn(delete_when_asleep, t.name);

	expect_eq(must(poll(&p, 1, 10000)), 1);
	expect(p.revents & (POLLERR | POLLHUP));
	expect(p.revents != POLLERR); /* Go's poller gives such a file up */
	spawn_wait(child);
}

TEST(a_file_that_lost_its_interface_is_ebadfd)
{
	struct tun t = tun_open_up(IFF_TUN);
	struct ifreq ifr;
	char buf[100] = { 0x45 };

	iface_del(t.name);
	expect_errno(read(t.fd, buf, sizeof(buf)), EBADFD);
	expect_errno(write(t.fd, buf, sizeof(buf)), EBADFD);
	expect_errno(ioctl(t.fd, TUNGETIFF, &ifr), EBADFD);
}

TEST(a_file_that_lost_its_interface_can_have_another)
{
	struct tun t = tun_open_up(IFF_TUN);
	int udp = udp_here(AF_INET);
	struct ifreq ifr;
	char buf[100];

	udp_send(udp, "old", 3);
	iface_del(t.name);
	must(tun_set_iff(t.fd, "second", IFF_TUN | IFF_NO_PI, &ifr));
	iface_up("second");
	udp_send(udp, "new!", 4);
	expect_eq(must(read(t.fd, buf, sizeof(buf))), UDP4 + 4);
	iface_del("second");
	must(tun_set_iff(t.fd, "third", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE, &ifr));
	tun_close(&t);
	expect(!iface_exists("third"));
}

TEST(a_persistent_interface_can_be_deleted)
{
	struct tun t = tun_open("keep", IFF_TUN);

	must(ioctl(t.fd, TUNSETPERSIST, 1));
	iface_del("keep");
	tun_close(&t);
	t = tun_open("keep", IFF_TUN);
	must(ioctl(t.fd, TUNSETPERSIST, 1));
	tun_close(&t);
	iface_del("keep");
	expect(!iface_exists("keep"));
}

static int ns_here(void)
{
	return must(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
}

TEST(an_interface_works_in_another_network_namespace)
{
	struct tun t = tun_open("", IFF_TUN);
	int home = ns_here(), away, udp;
	struct packet p;

	netns_new();
	away = ns_here();
	must(setns(home, CLONE_NEWNET));
	iface_move(t.name, away);
	expect(!iface_exists(t.name));
	must(setns(away, CLONE_NEWNET));
	iface_up(t.name);
	udp = udp_here(AF_INET);
	packet_inbound(&p, &t, AF_INET, "abc", 3);
	must(write(t.fd, p.bytes, p.len));
	udp_expect(udp, "abc", 3);
	udp_send(udp, "answer", 6);
	expect_eq(must(read(t.fd, p.bytes, sizeof(p.bytes))), UDP4 + 6);
	tun_close(&t);
	expect(!iface_exists(t.name));
}

TEST(an_interface_goes_with_the_network_namespace_that_it_was_moved_to)
{
	struct tun t = tun_open("", IFF_TUN);
	int home = ns_here(), away;
	char buf[100];

	netns_new();
	away = ns_here();
	must(setns(home, CLONE_NEWNET));
	iface_move(t.name, away);
	close(away);
	/* Parked or not, whichever comes first. */
	expect_errno(read(t.fd, buf, sizeof(buf)), EBADFD);
	t = tun_open(t.name, IFF_TUN);
}

static void open_in_new_netns(void *arg)
{
	int *fd = arg;

	netns_new();
	*fd = tun_open_up(IFF_TUN).fd;
}

TEST(an_open_file_keeps_its_network_namespace)
{
	int home = ns_here(), fd;
	struct ifreq ifr;

	open_in_new_netns(&fd); /* nothing else is in it when this process has left */
	must(setns(home, CLONE_NEWNET));
	sleep_ms(100);
	must(ioctl(fd, TUNGETIFF, &ifr));
	close(fd);
}

TEST(the_network_namespace_of_the_open_decides_where_the_interface_is)
{
	int fd = tun_open_file(), home = ns_here();
	struct ifreq ifr;

	netns_new();
	must(tun_set_iff(fd, "here", IFF_TUN, &ifr));
	expect(!iface_exists("here"));
	must(setns(home, CLONE_NEWNET));
	expect(iface_exists("here"));
}

TEST(writers_and_readers_survive_the_end_of_their_interface)
{
	struct packet p;
	char buf[2000];

	for (int round = 0; round < 30; round++) {
		struct tun t = tun_open_up(IFF_TUN);
		int udp = udp_here(AF_INET);
		pid_t writer, reader, sender;

		packet_inbound(&p, &t, AF_INET, "abc", 3);
		writer = must(fork());
		if (!writer) {
			while (write(t.fd, p.bytes, p.len) == p.len)
				;
			_exit(0);
		}
		reader = must(fork());
		if (!reader) {
			while (read(t.fd, buf, sizeof(buf)) > 0)
				;
			_exit(0);
		}
		sender = must(fork());
		if (!sender) {
			while (send(udp, "abc", 3, 0) == 3 || errno == ENOBUFS)
				;
			_exit(0);
		}
		sleep_ms(round % 5);
		iface_del(t.name);
		spawn_wait(writer);
		spawn_wait(reader);
		spawn_wait(sender);
		close(t.fd);
		close(udp);
	}
}

static unsigned long counted(const char *name)
{
	char command[100], text[300];
	const char *at;

	snprintf(command, sizeof(command), "nft list counter netdev who %s >/tmp/counter", name);
	run(command);
	snprintf(text, sizeof(text), "%s", read_file("/tmp/counter"));
	at = strstr(text, "packets ");
	return at ? strtoul(at + strlen("packets "), NULL, 10) : 0;
}

/* It waits in a bridge's port, and a filter behind that asks who sent it. */
TEST(a_packet_whose_file_is_closed_is_nobodys)
{
	struct tun t = tun_open("port0", IFF_TAP);
	struct packet p;

	if (!runs("ip link add veth0 type veth peer name veth1 && ip link set veth1 up && "
		  "tc qdisc add dev veth0 root netem delay 700ms limit 100000 && "
		  "nft 'add table netdev who; "
		  "add counter netdev who some; add counter netdev who mine; "
		  "add chain netdev who in "
		  "{ type filter hook ingress device veth1 priority 0; }; "
		  "add rule netdev who in ether type 0x88b5 counter name some; "
		  "add rule netdev who in ether type 0x88b5 meta skuid 0 counter name mine'"))
		skip("no veth, no netem, or no nft that looks at what an interface brings");
	bridge("port0", "veth0");
	/* To one whom the bridge knows: what goes to all is copied, and the copy is nobody's. */
	run("bridge fdb add 02:00:00:00:00:03 dev veth0 master static");
	slow_frame(&p);

	expect_eq(must(write(t.fd, p.bytes, p.len)), p.len);
	eventually(counted("some") == 1);
	expect_eq(counted("mine"), 1);

	expect_eq(must(write(t.fd, p.bytes, p.len)), p.len);
	close(t.fd);
	eventually(counted("some") == 2);
	expect_eq(counted("mine"), 1);
}
