/* SPDX-License-Identifier: MIT */
/* What an administrator does to an interface: `ip link`, `ip addr`, `ethtool -S`. */
#ifndef IFACE_H
#define IFACE_H

#include <linux/if_link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The addresses of every test's interface, and of the hosts behind it. */
#define HERE4  "10.9.0.1"
#define THERE4 "10.9.0.2"
#define HERE6  "fd09::1"
#define THERE6 "fd09::2"

/* Without a request for a module of that name, which if_nametoindex() makes; 0: none. */
unsigned int iface_index(const char *name);
bool iface_exists(const char *name);
unsigned int iface_flags(const char *name);
/* Up with IPv4 and IPv6 addresses, without a word of its own on the wire: no neighbour
 * discovery, no router solicitation. A TAP interface sends to its own MAC address.
 */
void iface_up(const char *name);
void iface_addr(const char *name, int family, const char *text, int prefix);
/* Only up. */
void iface_up_bare(const char *name);
void iface_down(const char *name);
void iface_set_mtu(const char *name, int mtu);
void iface_del(const char *name);
/* The same, when it may be gone already. */
void iface_del_if_there(const char *name);
void iface_move(const char *name, int netns_fd);
void iface_mac(const char *name, uint8_t mac[6]);

/* Writes /sys/class/net/NAME/KNOB; sysfs_here() comes before. */
void iface_knob(const char *name, const char *knob, const char *value);
/* ip link set txqueuelen; -1 and errno when it is refused. */
int iface_set_txqueuelen(const char *name, int packets);
/* ip -details link: calls @each with what the interface's kind says of it. */
void iface_details(const char *name, void (*each)(int type, const void *data, size_t len));
/* tc -s qdisc: packets that wait in the interface's queueing discipline; -1: it has none. */
int iface_backlog(const char *name);
/* ethtool: a command of <linux/ethtool.h> in @arg; -1 and errno when it is refused. */
int iface_ethtool_cmd(const char *name, void *arg);

/* ip -s link */
struct rtnl_link_stats64 iface_stats(const char *name);
/* One line of ethtool -S; -1 when there is none of that name. */
long long iface_ethtool(const char *name, const char *stat);

/* nstat: one counter of IPv4 in this network namespace, as "Ip", "InReceives". */
long mib(const char *protocol, const char *counter);

#endif /* IFACE_H */
