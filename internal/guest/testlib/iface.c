// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "iface.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"

struct request {
	struct nlmsghdr n;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct tcmsg tc;
	};
	char attrs[256];
};

static void put_attr(struct request *r, int type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->n.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	r->n.nlmsg_len = NLMSG_ALIGN(r->n.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

/* The first message of the answer in @answer; 0 or an errno. */
static int talk(struct request *r, char *answer, size_t len)
{
	int fd = must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	struct nlmsghdr *n = (struct nlmsghdr *)answer;

	r->n.nlmsg_flags |= NLM_F_REQUEST;
	must(send(fd, r, r->n.nlmsg_len, 0));
	must(recv(fd, answer, len, 0));
	close(fd);
	if (n->nlmsg_type != NLMSG_ERROR)
		return 0;
	return -((struct nlmsgerr *)NLMSG_DATA(n))->error;
}

unsigned int iface_index(const char *name)
{
	struct request r = { .n = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.link)),
				    .nlmsg_type = RTM_GETLINK } };
	static __thread char answer[16384];

	put_attr(&r, IFLA_IFNAME, name, strlen(name) + 1);
	if (talk(&r, answer, sizeof(answer)))
		return 0;
	return ((struct ifinfomsg *)NLMSG_DATA((struct nlmsghdr *)answer))->ifi_index;
}

static struct request link_request(const char *name, int type)
{
	struct request r = { .n = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.link)),
				    .nlmsg_type = type } };

	r.link.ifi_index = iface_index(name);
	if (!r.link.ifi_index)
		fail("there is no interface %s", name);
	return r;
}

static void must_talk(struct request *r, const char *what)
{
	char answer[1024];
	int err;

	r->n.nlmsg_flags |= NLM_F_ACK;
	err = talk(r, answer, sizeof(answer));
	if (err)
		fail("%s: %s", what, strerrorname(err));
}

static int ifreq_ioctl(const char *name, unsigned long cmd, struct ifreq *ifr)
{
	int fd = must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	int ret;

	snprintf(ifr->ifr_name, IFNAMSIZ, "%s", name);
	ret = ioctl(fd, cmd, ifr);
	close(fd);
	return ret;
}

bool iface_exists(const char *name)
{
	return iface_index(name) != 0;
}

unsigned int iface_flags(const char *name)
{
	struct ifreq ifr = {};

	must(ifreq_ioctl(name, SIOCGIFFLAGS, &ifr));
	return (unsigned short)ifr.ifr_flags;
}

static void set_flags(const char *name, unsigned int on, unsigned int off)
{
	struct ifreq ifr = {};

	must(ifreq_ioctl(name, SIOCGIFFLAGS, &ifr));
	ifr.ifr_flags = (ifr.ifr_flags | on) & ~off;
	must(ifreq_ioctl(name, SIOCSIFFLAGS, &ifr));
}

void iface_addr(const char *name, int family, const char *text, int prefix)
{
	size_t len = family == AF_INET ? 4 : 16;
	struct request r = { .n = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.addr)),
				    .nlmsg_type = RTM_NEWADDR,
				    .nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE } };
	uint8_t addr[16];

	inet_pton(family, text, addr);
	r.addr.ifa_family = family;
	r.addr.ifa_prefixlen = prefix;
	r.addr.ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0;
	r.addr.ifa_index = iface_index(name);
	put_attr(&r, IFA_LOCAL, addr, len);
	put_attr(&r, IFA_ADDRESS, addr, len);
	must_talk(&r, "adding an address");
}

static void ipv6_on(const char *name)
{
	static const char *const settings[][2] = {
		{ "addr_gen_mode", "1" }, /* no link-local address */
		{ "accept_dad", "0" },
		{ "router_solicitations", "0" },
		{ "disable_ipv6", "0" },
	};
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", name,
			 settings[i][0]);
		must(write_file(path, settings[i][1]));
	}
}

/* The kernel takes its time to believe in an IPv6 address, and to route to it. */
static bool ipv6_ready(const char *name)
{
	const char *line, *addr = "fd090000000000000000000000000001";
	char want[64];
	unsigned int flags;

	line = read_file("/proc/net/if_inet6");
	if (!(line = strstr(line, addr)) ||
	    sscanf(line, "%*s %*x %*x %*x %x", &flags) != 1 || (flags & IFA_F_TENTATIVE))
		return false;
	snprintf(want, sizeof(want), "%s 80 ", addr);
	for (line = read_file("/proc/net/ipv6_route"); (line = strstr(line, want)); line++) {
		char dev[32] = "";

		if (sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %31s", dev) == 1 &&
		    !strcmp(dev, name))
			return true;
	}
	return false;
}

void iface_up(const char *name)
{
	ipv6_on(name);
	set_flags(name, IFF_UP | IFF_NOARP, IFF_MULTICAST);
	iface_addr(name, AF_INET, HERE4, 24);
	iface_addr(name, AF_INET6, HERE6, 64);
	eventually(ipv6_ready(name));
}

void iface_up_bare(const char *name)
{
	set_flags(name, IFF_UP, 0);
}

void iface_down(const char *name)
{
	set_flags(name, 0, IFF_UP);
}

void iface_set_mtu(const char *name, int mtu)
{
	struct ifreq ifr = { .ifr_mtu = mtu };

	must(ifreq_ioctl(name, SIOCSIFMTU, &ifr));
}

void iface_del(const char *name)
{
	struct request r = link_request(name, RTM_DELLINK);

	must_talk(&r, "ip link del");
}

void iface_del_if_there(const char *name)
{
	struct request r = { .n = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.link)),
				    .nlmsg_type = RTM_DELLINK,
				    .nlmsg_flags = NLM_F_ACK } };
	char answer[1024];

	r.link.ifi_index = iface_index(name);
	if (r.link.ifi_index)
		talk(&r, answer, sizeof(answer));
}

void iface_move(const char *name, int netns_fd)
{
	struct request r = link_request(name, RTM_NEWLINK);
	uint32_t fd = netns_fd;

	put_attr(&r, IFLA_NET_NS_FD, &fd, sizeof(fd));
	must_talk(&r, "ip link set netns");
}

void iface_mac(const char *name, uint8_t mac[6])
{
	struct ifreq ifr = {};

	must(ifreq_ioctl(name, SIOCGIFHWADDR, &ifr));
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
}

struct rtnl_link_stats64 iface_stats(const char *name)
{
	struct request r = link_request(name, RTM_GETLINK);
	struct rtnl_link_stats64 stats = {};
	static char answer[16384];
	struct nlmsghdr *n = (struct nlmsghdr *)answer;
	struct rtattr *a;
	int err, left;

	err = talk(&r, answer, sizeof(answer));
	if (err)
		fail("ip -s link: %s", strerrorname(err));
	a = IFLA_RTA((struct ifinfomsg *)NLMSG_DATA(n));
	left = IFLA_PAYLOAD(n);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_STATS64) {
			memcpy(&stats, RTA_DATA(a), sizeof(stats));
			return stats;
		}
	}
	fail("ip -s link shows no statistics of %s", name);
}

static const struct rtattr *find_attr(const struct rtattr *a, unsigned int len, int type)
{
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

void iface_details(const char *name, void (*each)(int type, const void *data, size_t len))
{
	struct request r = link_request(name, RTM_GETLINK);
	char answer[16384];
	const struct nlmsghdr *n = (const struct nlmsghdr *)answer;
	const struct rtattr *a;
	unsigned int len;

	expect(!talk(&r, answer, sizeof(answer)));
	a = find_attr(IFLA_RTA(NLMSG_DATA(n)), IFLA_PAYLOAD(n), IFLA_LINKINFO);
	a = a ? find_attr(RTA_DATA(a), RTA_PAYLOAD(a), IFLA_INFO_DATA) : NULL;
	if (!a)
		return;
	len = RTA_PAYLOAD(a);
	for (a = RTA_DATA(a); RTA_OK(a, len); a = RTA_NEXT(a, len))
		each(a->rta_type, RTA_DATA(a), RTA_PAYLOAD(a));
}

/* What a message of a dump of disciplines says of the interface's root; *@found then. */
static int backlog_of(const struct nlmsghdr *n, int index, bool *found)
{
	const struct tcmsg *tc = NLMSG_DATA(n);
	const struct gnet_stats_queue *q;
	const struct rtattr *a, *kind;

	if (n->nlmsg_type != RTM_NEWQDISC || tc->tcm_ifindex != index ||
	    tc->tcm_parent != TC_H_ROOT)
		return 0;
	a = (const struct rtattr *)((const char *)tc + NLMSG_ALIGN(sizeof(*tc)));
	kind = find_attr(a, NLMSG_PAYLOAD(n, sizeof(*tc)), TCA_KIND);
	if (!kind || !strcmp(RTA_DATA(kind), "noqueue"))
		return 0;
	a = find_attr(a, NLMSG_PAYLOAD(n, sizeof(*tc)), TCA_STATS2);
	a = a ? find_attr(RTA_DATA(a), RTA_PAYLOAD(a), TCA_STATS_QUEUE) : NULL;
	if (!a)
		fail("a discipline without statistics");
	q = RTA_DATA(a);
	*found = true;
	return q->qlen;
}

int iface_backlog(const char *name)
{
	struct request r = { .n = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.tc)),
				    .nlmsg_type = RTM_GETQDISC,
				    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
	int fd = must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	char answer[32768] __attribute__((aligned(8)));
	bool found = false, done = false;
	const struct nlmsghdr *n;
	int backlog = 0, left;

	r.tc.tcm_ifindex = iface_index(name);
	must(send(fd, &r, r.n.nlmsg_len, 0));
	while (!done) {
		left = must(recv(fd, answer, sizeof(answer), 0));
		for (n = (struct nlmsghdr *)answer; NLMSG_OK(n, (unsigned int)left);
		     n = NLMSG_NEXT(n, left)) {
			backlog += backlog_of(n, r.tc.tcm_ifindex, &found);
			done |= n->nlmsg_type == NLMSG_DONE || n->nlmsg_type == NLMSG_ERROR;
		}
	}
	close(fd);
	return found ? backlog : -1;
}

int iface_set_txqueuelen(const char *name, int packets)
{
	struct ifreq ifr = { .ifr_qlen = packets };

	return ifreq_ioctl(name, SIOCSIFTXQLEN, &ifr);
}

int iface_ethtool_cmd(const char *name, void *arg)
{
	struct ifreq ifr = { .ifr_data = arg };

	return ifreq_ioctl(name, SIOCETHTOOL, &ifr);
}

long long iface_ethtool(const char *name, const char *stat)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t count;
	} set = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1 << ETH_SS_STATS } };
	struct ethtool_gstrings *names;
	struct ethtool_stats *values;
	long long value = -1;

	must(iface_ethtool_cmd(name, &set));
	if (!set.info.sset_mask)
		return -1;
	names = calloc(1, sizeof(*names) + (size_t)set.count * ETH_GSTRING_LEN);
	values = calloc(1, sizeof(*values) + set.count * sizeof(values->data[0]));
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_STATS;
	names->len = set.count;
	must(iface_ethtool_cmd(name, names));
	values->cmd = ETHTOOL_GSTATS;
	values->n_stats = set.count;
	must(iface_ethtool_cmd(name, values));
	for (uint32_t i = 0; i < values->n_stats; i++) {
		if (!strncmp((char *)names->data + (size_t)i * ETH_GSTRING_LEN, stat,
			     ETH_GSTRING_LEN))
			value = values->data[i];
	}
	free(names);
	free(values);
	return value;
}

void iface_knob(const char *name, const char *knob, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, knob);
	if (access(path, F_OK))
		skip("this kernel has no %s", knob);
	must(write_file(path, value));
}

long mib(const char *protocol, const char *counter)
{
	char text[4096], *names, *values, *name, *value;
	char head[16];

	snprintf(head, sizeof(head), "%s: ", protocol);
	snprintf(text, sizeof(text), "%s", read_file("/proc/net/snmp"));
	/* A line of names, then one of values. */
	names = strstr(text, head);
	values = names ? strstr(names + 1, head) : NULL;
	if (!values)
		fail("no %s in /proc/net/snmp", protocol);
	names[strcspn(names, "\n")] = '\0';
	values[strcspn(values, "\n")] = '\0';
	while ((name = strsep(&names, " ")) && (value = strsep(&values, " ")))
		if (!strcmp(name, counter))
			return strtol(value, NULL, 10);
	fail("no %s among %s's counters", counter, protocol);
}
