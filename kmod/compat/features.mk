# SPDX-License-Identifier: GPL-2.0
# What the kernel that is being built for has, found by looking into its headers
# and never by its version: stable and vendor kernels carry backports. The code
# is written for the newest kernel; compat.h makes the older ones look like it.
# No parentheses inside a pattern: make's $(call) would take them for its own.
mytun-headers := $(srctree)/include
mytun-has = $(shell grep -qsE '$(1)' $(mytun-headers)/$(2) && echo -D$(3))

ccflags-y += $(call mytun-has,lltx:1,linux/netdevice.h,MYTUN_HAVE_DEV_LLTX)
ccflags-y += $(call mytun-has,dev_core_stats_tx_dropped_inc|DEV_CORE_STATS_INC.tx_dropped,linux/netdevice.h,MYTUN_HAVE_CORE_STATS)
ccflags-y += $(call mytun-has,dev_get_tstats64,linux/netdevice.h,MYTUN_HAVE_TSTATS64)
ccflags-y += $(call mytun-has,pcpu_stat_type,linux/netdevice.h,MYTUN_HAVE_PCPU_STAT_TYPE)
ccflags-y += $(call mytun-has,kfree_skb_reason,linux/skbuff.h,MYTUN_HAVE_DROP_REASON)
ccflags-y += $(call mytun-has,u64_stats_fetch_begin_irq,linux/u64_stats_sync.h,MYTUN_HAVE_U64_STATS_IRQ)
ccflags-y += $(call mytun-has,eth_hw_addr_set,linux/etherdevice.h,MYTUN_HAVE_HW_ADDR_SET)
ccflags-y += $(call mytun-has,define no_llseek|no_llseek.struct file,linux/fs.h,MYTUN_HAVE_NO_LLSEEK)
ccflags-y += $(call mytun-has,sock_init_data_uid,net/sock.h,MYTUN_HAVE_SOCK_INIT_UID)
ccflags-y += $(call mytun-has,netif_napi_add_weight,linux/netdevice.h,MYTUN_HAVE_NAPI_ADD3)
