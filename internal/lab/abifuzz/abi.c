// SPDX-License-Identifier: MIT
/* The table: what calls there are, and what is worth trying in them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sys/mman.h>

#include "check.h"
#include "program.h"
#include "shape.h"
#include "world.h"

#define VALUES(...)                                  \
	.values = (const uint64_t[]){ __VA_ARGS__ }, \
	.n = sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t)
#define KIND(name, ...) static const struct kind name##_kind = { __VA_ARGS__ }

KIND(fd, VALUES(0, 0, 0, 0, 1, 1, 2, 3));
KIND(name, VALUES(0, 0, 0, 0, 0, 1, 1, 3, 4, 2, 5, 6, 7));
KIND(bool, VALUES(0, 1));
KIND(rarely, VALUES(0, 0, 0, 0, 0, 0, 0, 1));
KIND(mostly, VALUES(1, 1, 1, 1, 1, 1, 1, 0));
KIND(zero, VALUES(0), .number = true);
KIND(any, VALUES(0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, ~0ULL),
     .number = true);
KIND(xor, VALUES(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 0x80));
/* A record has nine of them: were each wrong every other time, hardly one would pass. */
KIND(delta, VALUES(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		   16, -16ULL, 32, 4, 1, -1ULL, 1000));

KIND(oflags, VALUES(O_RDWR | O_NONBLOCK, O_RDWR | O_NONBLOCK, O_RDWR | O_NONBLOCK, O_RDWR,
		    O_RDONLY | O_NONBLOCK, O_WRONLY | O_NONBLOCK));
KIND(iff,
     VALUES(IFF_TUN | IFF_NO_PI, IFF_TUN | IFF_NO_PI, IFF_TAP | IFF_NO_PI, IFF_TUN, IFF_TAP,
	    IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE, IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE,
	    IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
	    IFF_TUN | IFF_NO_PI | IFF_NAPI, IFF_TAP | IFF_NO_PI | IFF_NAPI | IFF_MULTI_QUEUE,
	    IFF_TUN | IFF_NO_PI | IFF_NAPI | IFF_VNET_HDR),
     .bits = 0xffff);
KIND(setqueue, VALUES(IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE, IFF_ATTACH_QUEUE | IFF_DETACH_QUEUE, 0));
KIND(setlong, VALUES(TUNSETPERSIST, TUNSETOWNER, TUNSETGROUP, TUNSETLINK, TUNSETOFFLOAD,
		     TUNSETOFFLOAD, TUNSETOFFLOAD, TUNSETNOCSUM, TUNSETDEBUG));
KIND(longval,
     VALUES(0, 1, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, TUN_F_CSUM, 0x7f, 0x6f, 0x61, 65534, 778,
	    ~0ULL),
     .bits = 0xff, .number = true);
KIND(setint, VALUES(TUNSETSNDBUF, TUNSETVNETHDRSZ, TUNSETVNETLE, TUNSETVNETBE, TUNSETCARRIER,
		    TUNSETIFINDEX));
KIND(intval, VALUES(0, 1, 10, 12, 20, 100, 4096, 65536, 0x7fffffff, 0xffffffff), .number = true);
KIND(get, VALUES(TUNGETIFF, TUNGETFEATURES, TUNGETSNDBUF, TUNGETVNETHDRSZ, TUNGETVNETLE,
		 TUNGETVNETBE, TUNGETFILTER, TUNGETDEVNETNS, SIOCGIFHWADDR, SIOCGSKNS,
		 MYTUN_IOC_INFO,
		 MYTUN_IOC_GET_MODE));
KIND(pointer, VALUES(0, 0, 0, 0, 0, 0, 8, 0x7ffffffff000, ~0ULL));
KIND(family, VALUES(1, 1, 1, 0, 0xfffe));
KIND(macbyte, VALUES(0, 2, 0x12, 0x33, 0xff));
KIND(txcount, VALUES(0, 1, 2, 8, 9, 63, 64, 65, 0xffff));
KIND(cbpf_len, VALUES(3, 3, 3, 2, 0, 4096, 4097, 0xffff));
KIND(cbpf_ret, VALUES(0, 1, 14, 64, 0xffff, 0xffffffff), .number = true);
KIND(prog, VALUES(0, 1, 2, 3, 4, 5));
KIND(mode_flags, VALUES(0, MYTUN_MODE_F_BACKPRESSURE, MYTUN_MODE_F_RECORDS, MYTUN_MODE_F_ALL),
     .bits = 0x80000007);
KIND(inject, VALUES(MYTUN_INJECT_SOFTIRQ, MYTUN_INJECT_THREAD, MYTUN_INJECT_DIRECT, 3, ~0U));
KIND(eventfd, VALUES(0, 1, 1, 2, 3, 5, 999999));
KIND(magic, VALUES(0, 1));
KIND(ioc_nr, VALUES(0, 1, 2, 3, 4, 5, 6, 7, 8, 200, 205, 210, 220, 227, 255), .number = true);
KIND(ioc_dir, VALUES(0, 1, 2, 3));
KIND(ioc_size, VALUES(0, 4, 8, 16, 32, 40, 64, 4096));
KIND(ioc_arg, VALUES(1, 1, 1, 0, 2, 0x7ffffffff000, ~0ULL));
KIND(pollevents, VALUES(POLLIN, POLLOUT, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0));
KIND(timeout, VALUES(0, 0, 1));
KIND(async, VALUES(O_ASYNC, O_ASYNC | O_NONBLOCK, 0));
KIND(usecs, VALUES(0, 10, 100, 1000, 4000));

KIND(ring_flags, VALUES(0, MYTUN_RINGS_F_EVENT_IDX, MYTUN_RINGS_F_HASH, MYTUN_RINGS_F_ALL),
     .bits = 0x80000007);
KIND(ring_size, VALUES(1 << 12, 1 << 12, 1 << 13, 1 << 14, 1 << 16, 1 << 17, 1 << 18, 1 << 20, 2048,
		       5000, 0, 1U << 31));
KIND(room, VALUES(0, 0, 0, 16, 64, 1, 33, MYTUN_ROOM_MAX, MYTUN_ROOM_MAX + 1, 0xffff));
KIND(map_extra, VALUES(0, 0, 0, 0, 0, 0, 0, 0, 4096, -4096ULL, 1));
KIND(prot, VALUES(3, 3, 3, 3, 3, 3, 1, 2, 7, 0));
KIND(map_flags, VALUES(MAP_SHARED, MAP_SHARED, MAP_SHARED, MAP_SHARED, MAP_PRIVATE,
		       MAP_SHARED | MAP_POPULATE, MAP_SHARED | MAP_LOCKED));
KIND(map_off, VALUES(0, 0, 0, 0, 0, 0, 0, 4096, 1ULL << 32));
KIND(doorbell, VALUES(MYTUN_DOORBELL_TX, MYTUN_DOORBELL_TX, MYTUN_DOORBELL_TX, MYTUN_DOORBELL_RX, 2,
		      ~0ULL));
KIND(shape,
     VALUES(UDP_4, UDP_4, UDP_6, TCP_4, TCP_4, TCP_6, ARP, FRAGMENT_4, HOP_BY_HOP_6, FRAGMENT_6,
	    IP_IN_IP, TCP_4_CWR, ECHO_4, OPTIONS_4, GARBAGE, UDP_4 | VLAN, TCP_6 | VLAN),
     .bits = VLAN | CORRUPT);
KIND(payload, VALUES(0, 1, 18, 100, 472, 1000, 1400, 1472, 3000, 4000, 9000, 40000, 65000, 65435),
     .number = true);
KIND(vnet, VALUES(VNET_NONE, VNET_NONE, VNET_CSUM, VNET_GSO, VNET_GSO, VNET_VALID));
KIND(gso_size, VALUES(0, 1, 8, 100, 500, 1000, 1448, 9000, 0xfffe, 0xffff));
KIND(rec_flags, VALUES(0, 0, 0, 0, 0, 0, MYTUN_REC_F_SKIP), .bits = 0xffff);
KIND(proto, VALUES(0, 0, 0, 0, 0x0008, 0xdd86, 0x0608, 0x0081, 0xffff));
KIND(count, VALUES(0, 1, 2, 5, 17, 63, 64, 65, 300));
KIND(give, VALUES(0, 1, 1, 2, 2));
KIND(part, VALUES(0, 1, 2, 3, 4, 5));
KIND(field, VALUES(0, 4, 8, 12, 14, 16, 20, 24, 28, 32, 40), .number = true);
KIND(readlen, VALUES(70000, 70000, 280000, 1500, 100, 40, 16, 4, 1, 0), .number = true);
KIND(pieces, VALUES(0, 0, 0, 1, 2, 5));
KIND(cut, VALUES(0, 0, 0, 0, 0, 0, 1, 10, 50, 1000), .number = true);

KIND(on, VALUES(IFF_UP, IFF_UP, IFF_UP, IFF_UP | IFF_NOARP, 0, IFF_PROMISC, IFF_ALLMULTI));
KIND(off, VALUES(0, 0, 0, 0, IFF_UP, IFF_PROMISC | IFF_ALLMULTI));
KIND(ifset, VALUES(SIOCSIFMTU, SIOCSIFTXQLEN, SIOCSIFHWADDR));
KIND(ifval, VALUES(0, 1, 67, 68, 500, 1280, 1500, 9000, 65521, 65535, 65536, 2),
     .number = true);
KIND(newname, VALUES(0, 1, 2));
KIND(qdisc, VALUES(0, 1, 2, 3, 4));
KIND(node, VALUES(0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14));
KIND(nodeval, VALUES(0, 1, 2, 3, 1000, 100000, 0xffffffff), .number = true);
KIND(ethtool, VALUES(ETHTOOL_GDRVINFO, ETHTOOL_GLINK, ETHTOOL_GCOALESCE, ETHTOOL_SCOALESCE,
		     ETHTOOL_SCOALESCE, ETHTOOL_GRINGPARAM, ETHTOOL_SRINGPARAM, ETHTOOL_GCHANNELS,
		     ETHTOOL_SCHANNELS, ETHTOOL_GSET, ETHTOOL_SSET, ETHTOOL_GSTRINGS,
		     ETHTOOL_GSTATS,
		     ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM, ETHTOOL_SSG,
		     ETHTOOL_SMSGLVL, ETHTOOL_GTSO, ETHTOOL_GMSGLVL, ETHTOOL_GET_TS_INFO));
KIND(port, VALUES(0, 0, 0, 1, 2, 3, 100));

#define VNET_IN_TABLE                                                                        \
	{ "vnet", &vnet_kind }, { "gso", &gso_size_kind }, { "xflags", &xor_kind },          \
		{ "xtype", &xor_kind }, { "start", &delta_kind }, { "offset", &delta_kind }, \
	{                                                                                    \
		"hdr", &delta_kind                                                           \
	}

const struct op ops[] = {
	{ "open", 6, { { "fd", &fd_kind }, { "flags", &oflags_kind } }, call_open },
	{ "close", 3, { { "fd", &fd_kind } }, call_close },
	{ "dup", 1, { { "fd", &fd_kind }, { "to", &fd_kind } }, call_dup },
	{ "setiff",
	  8,
	  { { "fd", &fd_kind }, { "name", &name_kind }, { "flags", &iff_kind } },
	  call_setiff },
	{ "setqueue", 3, { { "fd", &fd_kind }, { "flags", &setqueue_kind } }, call_setqueue },
	{ "setlong",
	  4,
	  { { "fd", &fd_kind }, { "cmd", &setlong_kind }, { "value", &longval_kind } },
	  call_setlong },
	{ "setint",
	  4,
	  { { "fd", &fd_kind }, { "cmd", &setint_kind }, { "value", &intval_kind } },
	  call_setint },
	{ "get",
	  3,
	  { { "fd", &fd_kind }, { "cmd", &get_kind }, { "into", &pointer_kind } },
	  call_get },
	{ "hwaddr",
	  1,
	  { { "fd", &fd_kind }, { "family", &family_kind }, { "byte", &macbyte_kind } },
	  call_hwaddr },
	{ "txfilter",
	  2,
	  { { "fd", &fd_kind },
	    { "flags", &bool_kind },
	    { "count", &txcount_kind },
	    { "byte", &macbyte_kind } },
	  call_txfilter },
	{ "classic",
	  2,
	  { { "fd", &fd_kind },
	    { "len", &cbpf_len_kind },
	    { "keep", &cbpf_ret_kind },
	    { "detach", &bool_kind } },
	  call_classic },
	{ "ebpf",
	  2,
	  { { "fd", &fd_kind }, { "filter", &bool_kind }, { "prog", &prog_kind } },
	  call_ebpf },
	{ "mode",
	  5,
	  { { "fd", &fd_kind },
	    { "flags", &mode_flags_kind },
	    { "inject", &inject_kind },
	    { "reserved", &rarely_kind },
	    { "which", &any_kind } },
	  call_mode },
	{ "eventfds",
	  3,
	  { { "fd", &fd_kind },
	    { "rx", &eventfd_kind },
	    { "tx", &eventfd_kind },
	    { "reserved", &rarely_kind } },
	  call_eventfds },
	{ "detach", 2, { { "fd", &fd_kind }, { "arg", &rarely_kind } }, call_detach },
	{ "ioctl",
	  1,
	  { { "fd", &fd_kind },
	    { "tun", &magic_kind },
	    { "nr", &ioc_nr_kind },
	    { "fill", &macbyte_kind },
	    { "dir", &ioc_dir_kind },
	    { "size", &ioc_size_kind },
	    { "arg", &ioc_arg_kind } },
	  call_ioctl },
	{ "poll",
	  3,
	  { { "fd", &fd_kind }, { "events", &pollevents_kind }, { "ms", &timeout_kind } },
	  call_poll },
	{ "async", 1, { { "fd", &fd_kind }, { "flags", &async_kind } }, call_async },
	{ "sleep", 1, { { "us", &usecs_kind } }, call_sleep },

	{ "rings",
	  5,
	  { { "fd", &fd_kind },
	    { "flags", &ring_flags_kind },
	    { "rx", &ring_size_kind },
	    { "tx", &ring_size_kind },
	    { "head", &room_kind },
	    { "tail", &room_kind },
	    { "reserved", &rarely_kind } },
	  call_rings },
	{ "map",
	  5,
	  { { "fd", &fd_kind },
	    { "extra", &map_extra_kind },
	    { "prot", &prot_kind },
	    { "flags", &map_flags_kind },
	    { "offset", &map_off_kind } },
	  call_map },
	{ "unmap",
	  1,
	  { { "fd", &fd_kind }, { "at", &zero_kind }, { "page", &bool_kind } },
	  call_unmap },
	{ "doorbell", 4, { { "fd", &fd_kind }, { "which", &doorbell_kind } }, call_doorbell },
	{ "record",
	  8,
	  { { "fd", &fd_kind },
	    { "shape", &shape_kind },
	    { "payload", &payload_kind },
	    VNET_IN_TABLE,
	    { "flags", &rec_flags_kind },
	    { "proto", &proto_kind },
	    { "size", &delta_kind },
	    { "len", &delta_kind },
	    { "off", &delta_kind } },
	  call_record },
	{ "burst",
	  5,
	  { { "fd", &fd_kind },
	    { "shape", &shape_kind },
	    { "payload", &payload_kind },
	    { "count", &count_kind },
	    { "ring", &mostly_kind } },
	  call_burst },
	{ "publish",
	  6,
	  { { "fd", &fd_kind }, { "ahead", &delta_kind }, { "ring", &mostly_kind } },
	  call_publish },
	{ "give",
	  4,
	  { { "fd", &fd_kind },
	    { "what", &give_kind },
	    { "ahead", &delta_kind },
	    { "ring", &bool_kind } },
	  call_give },
	{ "event",
	  2,
	  { { "fd", &fd_kind }, { "tx", &bool_kind }, { "ahead", &delta_kind } },
	  call_event },
	{ "scribble",
	  3,
	  { { "fd", &fd_kind },
	    { "part", &part_kind },
	    { "at", &field_kind },
	    { "value", &any_kind },
	    { "times", &count_kind },
	    { "other", &any_kind } },
	  call_scribble },

	{ "read",
	  5,
	  { { "fd", &fd_kind }, { "len", &readlen_kind }, { "pieces", &pieces_kind } },
	  call_read },
	{ "write",
	  5,
	  { { "fd", &fd_kind },
	    { "shape", &shape_kind },
	    { "payload", &payload_kind },
	    VNET_IN_TABLE,
	    { "pieces", &pieces_kind },
	    { "cut", &cut_kind },
	    { "count", &count_kind } },
	  call_write },
	{ "writerecords",
	  4,
	  { { "fd", &fd_kind },
	    { "shape", &shape_kind },
	    { "payload", &payload_kind },
	    VNET_IN_TABLE,
	    { "size", &delta_kind },
	    { "len", &delta_kind },
	    { "off", &delta_kind },
	    { "count", &count_kind } },
	  call_writerecords },

	{ "link",
	  6,
	  { { "name", &name_kind }, { "on", &on_kind }, { "off", &off_kind } },
	  call_link },
	{ "address", 4, { { "name", &name_kind }, { "six", &bool_kind } }, call_address },
	{ "ifset",
	  2,
	  { { "name", &name_kind }, { "cmd", &ifset_kind }, { "value", &ifval_kind } },
	  call_ifset },
	{ "dellink", 2, { { "name", &name_kind }, { "away", &rarely_kind } }, call_dellink },
	{ "newlink", 1, { { "name", &name_kind } }, call_newlink },
	{ "rename", 1, { { "name", &name_kind }, { "to", &newname_kind } }, call_rename },
	{ "move", 1, { { "name", &name_kind }, { "back", &bool_kind } }, call_move },
	{ "getlink", 1, { { "name", &name_kind }, { "dump", &bool_kind } }, call_getlink },
	{ "qdisc",
	  2,
	  { { "name", &name_kind }, { "kind", &qdisc_kind }, { "del", &rarely_kind } },
	  call_qdisc },
	{ "sysfs",
	  2,
	  { { "name", &name_kind },
	    { "node", &node_kind },
	    { "value", &nodeval_kind },
	    { "read", &rarely_kind } },
	  call_sysfs },
	{ "ethtool",
	  3,
	  { { "name", &name_kind },
	    { "cmd", &ethtool_kind },
	    { "value", &nodeval_kind },
	    { "other", &nodeval_kind } },
	  call_ethtool },

	{ "udp",
	  4,
	  { { "six", &bool_kind },
	    { "len", &payload_kind },
	    { "gso", &gso_size_kind },
	    { "count", &count_kind },
	    { "port", &port_kind } },
	  call_udp },
	{ "frame",
	  6,
	  { { "name", &name_kind },
	    { "tap", &bool_kind },
	    { "shape", &shape_kind },
	    { "payload", &payload_kind },
	    VNET_IN_TABLE,
	    { "count", &count_kind } },
	  call_frame },
	{ "tcp", 1, { { "six", &bool_kind } }, call_tcp },
	{ "busypoll",
	  1,
	  { { "six", &bool_kind }, { "fd", &fd_kind }, { "times", &count_kind } },
	  call_busypoll },
};

const size_t ops_n = ARRAY_SIZE(ops);
