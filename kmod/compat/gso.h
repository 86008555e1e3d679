/* SPDX-License-Identifier: GPL-2.0 */
/* The stack's own segmentation: declared in netdevice.h before. */
#ifndef MYTUN_COMPAT_GSO_H
#define MYTUN_COMPAT_GSO_H

#include <linux/if_tun.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#ifdef MYTUN_HAVE_GSO_H
#include <net/gso.h>
#endif

/* TUNSETOFFLOAD of UDP segmentation: this module honours it anyway. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#endif /* MYTUN_COMPAT_GSO_H */
