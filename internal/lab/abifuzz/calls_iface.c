// SPDX-License-Identifier: MIT
/* What an administrator does to the interface: ip, tc, ethtool and sysfs. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "iface.h"
#include "run.h"
#include "world.h"

struct message {
	struct nlmsghdr n;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct tcmsg tc;
	};
	char attrs[256];
};

static const char *name_of(uint64_t i)
{
	return names[i % NAMES];
}

static int index_of(int ns, uint64_t name)
{
	struct ifreq ifr = {};

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name_of(name));
	return ioctl(inet_fd[ns], SIOCGIFINDEX, &ifr) ? 0 : ifr.ifr_ifindex;
}

static struct message message(int type, int flags, size_t len)
{
	return (struct message){ .n = { .nlmsg_len = NLMSG_LENGTH(len),
					.nlmsg_type = type,
					.nlmsg_flags = NLM_F_REQUEST | flags } };
}

static struct rtattr *put(struct message *m, int type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)m + NLMSG_ALIGN(m->n.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	m->n.nlmsg_len = NLMSG_ALIGN(m->n.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void talk(int ns, struct message *m)
{
	char answer[16384];

	if (send(route_fd[ns], m, m->n.nlmsg_len, 0) < 0)
		return;
	while (recv(route_fd[ns], answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
}

/* name on off: flags of the interface */
void call_link(const uint64_t *a)
{
	struct ifreq ifr = {};

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name_of(a[0]));
	if (ioctl(inet_fd[0], SIOCGIFFLAGS, &ifr))
		return;
	ifr.ifr_flags |= a[1];
	ifr.ifr_flags &= ~a[2];
	ioctl(inet_fd[0], SIOCSIFFLAGS, &ifr);
}

void call_address(const uint64_t *a)
{
	struct message m = message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(m.addr));
	uint8_t addr[16];
	bool six = a[1];

	inet_pton(six ? AF_INET6 : AF_INET, six ? HERE6 : HERE4, addr);
	m.addr.ifa_family = six ? AF_INET6 : AF_INET;
	m.addr.ifa_prefixlen = six ? 64 : 24;
	m.addr.ifa_flags = six ? IFA_F_NODAD : 0;
	m.addr.ifa_index = index_of(0, a[0]);
	put(&m, IFA_LOCAL, addr, six ? 16 : 4);
	put(&m, IFA_ADDRESS, addr, six ? 16 : 4);
	if (six) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
			 name_of(a[0]));
		write_file(path, "0");
	}
	talk(0, &m);
}

/* SIOCSIFMTU, SIOCSIFTXQLEN: they take a number. */
void call_ifset(const uint64_t *a)
{
	struct ifreq ifr = { .ifr_mtu = a[2] };

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name_of(a[0]));
	if (a[1] == SIOCSIFHWADDR) {
		ifr.ifr_hwaddr.sa_family = 1;
		memset(ifr.ifr_hwaddr.sa_data, a[2], 6);
	}
	ioctl(inet_fd[0], a[1], &ifr);
}

void call_dellink(const uint64_t *a)
{
	int ns = a[1] ? 1 : 0;
	struct message m = message(RTM_DELLINK, 0, sizeof(m.link));

	m.link.ifi_index = index_of(ns, a[0]);
	if (m.link.ifi_index > 1)
		talk(ns, &m);
}

void call_newlink(const uint64_t *a)
{
	struct message m = message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(m.link));
	struct rtattr *info;

	put(&m, IFLA_IFNAME, name_of(a[0]), strlen(name_of(a[0])) + 1);
	info = put(&m, IFLA_LINKINFO, NULL, 0);
	put(&m, IFLA_INFO_KIND, "mytun", 6);
	info->rta_len = (char *)&m + m.n.nlmsg_len - (char *)info;
	talk(0, &m);
}

void call_rename(const uint64_t *a)
{
	struct ifreq ifr = {};

	/* Only such as world_clear() knows, and never lo. */
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name_of(a[0] % 3));
	snprintf(ifr.ifr_newname, IFNAMSIZ, "%s", name_of(a[1] % 3));
	/* Or the core leaves a name in sysfs that no interface can take again. */
	nothing_fails();
	ioctl(inet_fd[0], SIOCSIFNAME, &ifr);
}

void call_move(const uint64_t *a)
{
	int from = a[1] ? 1 : 0;
	struct message m = message(RTM_NEWLINK, 0, sizeof(m.link));

	m.link.ifi_index = index_of(from, a[0]);
	put(&m, IFLA_NET_NS_FD, &ns_fd[!from], sizeof(ns_fd[0]));
	nothing_fails(); /* as in call_rename() */
	if (m.link.ifi_index > 1)
		talk(from, &m);
}

void call_getlink(const uint64_t *a)
{
	struct message m = message(RTM_GETLINK, a[1] ? NLM_F_DUMP : 0, sizeof(m.link));

	m.link.ifi_index = index_of(0, a[0]);
	talk(0, &m);
}

void call_qdisc(const uint64_t *a)
{
	static const char *const kinds[] = { "pfifo", "fq_codel", "noqueue", "mq", "pfifo_fast" };
	struct message m = message(a[2] ? RTM_DELQDISC : RTM_NEWQDISC,
				   a[2] ? 0 : NLM_F_CREATE | NLM_F_REPLACE, sizeof(m.tc));
	const char *kind = kinds[a[1] % ARRAY_SIZE(kinds)];

	m.tc.tcm_ifindex = index_of(0, a[0]);
	m.tc.tcm_parent = TC_H_ROOT;
	if (!a[2])
		put(&m, TCA_KIND, kind, strlen(kind) + 1);
	if (m.tc.tcm_ifindex > 1)
		talk(0, &m);
}

void call_sysfs(const uint64_t *a)
{
	static const char *const nodes[] = {
		"threaded",
		"gro_flush_timeout",
		"napi_defer_hard_irqs",
		"tx_queue_len",
		"carrier",
		"queues/tx-0/xps_cpus",
		"queues/tx-0/xps_rxqs",
		"queues/rx-0/rps_cpus",
		"queues/rx-0/rps_flow_cnt",
		"queues/tx-0/tx_maxrate",
		"tun_flags",
		"owner",
		"group",
		"statistics/rx_dropped",
		"proto_down",
	};
	char path[128], text[32];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name_of(a[0]),
		 nodes[a[1] % ARRAY_SIZE(nodes)]);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)a[2]);
	fd = open(path, (a[3] ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
	if (fd < 0)
		return;
	if ((a[3] ? read(fd, text, sizeof(text)) : write(fd, text, strlen(text))) < 0)
		text[0] = '\0';
	close(fd);
}

/* Commands whose argument is a number or a few of them. */
void call_ethtool(const uint64_t *a)
{
	union {
		struct ethtool_value value;
		struct ethtool_coalesce coalesce;
		struct ethtool_ringparam ring;
		struct ethtool_channels channels;
		struct ethtool_cmd settings;
		struct ethtool_gstrings strings;
		struct ethtool_stats stats;
		uint64_t room[4096];
	} arg = {};
	struct ifreq ifr = { .ifr_data = (void *)&arg };

	arg.value.cmd = a[1];
	switch (a[1]) {
	case ETHTOOL_SCOALESCE:
		arg.coalesce.rx_coalesce_usecs = a[2];
		arg.coalesce.rx_max_coalesced_frames = a[3];
		break;
	case ETHTOOL_SRINGPARAM:
		arg.ring.rx_pending = a[2];
		arg.ring.tx_pending = a[3];
		break;
	case ETHTOOL_SCHANNELS:
		arg.channels.combined_count = a[2];
		break;
	case ETHTOOL_SSET:
		arg.settings.speed = a[2];
		arg.settings.duplex = a[3];
		break;
	case ETHTOOL_GSTRINGS:
		arg.strings.string_set = ETH_SS_STATS;
		/* fallthrough */
	case ETHTOOL_GSTATS:
		arg.stats.n_stats = arg.strings.len = 0;
		break;
	default:
		arg.value.data = a[2];
	}
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name_of(a[0]));
	ioctl(inet_fd[0], SIOCETHTOOL, &ifr);
}
