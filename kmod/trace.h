/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of the rings: perf trace -e 'mytun:*', or /sys/kernel/tracing/events/mytun.
 * A queue with rings has the interface in its napi; whoever calls these keeps that
 * from going.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mytun

#if !defined(MYTUN_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MYTUN_TRACE_H

#include <linux/tracepoint.h>

#include "internal.h"

/* clang-format off */

DECLARE_EVENT_CLASS(mytun_position,
		    TP_PROTO(const struct mytun_queue *q, u32 pos),
		    TP_ARGS(q, pos),
		    TP_STRUCT__entry(__array(char, name, IFNAMSIZ)
				     __field(u16, queue)
				     __field(u32, pos)),
		    TP_fast_assign(memcpy(__entry->name, q->napi.dev->name, IFNAMSIZ);
				   __entry->queue = READ_ONCE(q->index);
				   __entry->pos = pos;),
		    TP_printk("dev=%s queue=%u pos=%u",
			      __entry->name, __entry->queue, __entry->pos));

/* The program is woken: its RX ring is filled up to pos. */
DEFINE_EVENT(mytun_position, mytun_rx_wakeup,
	     TP_PROTO(const struct mytun_queue *q, u32 pos),
	     TP_ARGS(q, pos));

/* The program is woken: its TX ring is consumed up to pos. */
DEFINE_EVENT(mytun_position, mytun_tx_wakeup,
	     TP_PROTO(const struct mytun_queue *q, u32 pos),
	     TP_ARGS(q, pos));

/* The program rang: the TX ring was consumed up to pos before. */
DEFINE_EVENT(mytun_position, mytun_doorbell,
	     TP_PROTO(const struct mytun_queue *q, u32 pos),
	     TP_ARGS(q, pos));

/* The program broke the protocol of the RX ring, which is filled up to pos. */
DEFINE_EVENT(mytun_position, mytun_rx_fault,
	     TP_PROTO(const struct mytun_queue *q, u32 pos),
	     TP_ARGS(q, pos));

/* The program broke the protocol of the TX ring, at pos. */
DEFINE_EVENT(mytun_position, mytun_tx_fault,
	     TP_PROTO(const struct mytun_queue *q, u32 pos),
	     TP_ARGS(q, pos));

/* Senders wait for room in the RX ring, which is filled up to pos. */
DEFINE_EVENT(mytun_position, mytun_rx_hold,
	     TP_PROTO(const struct mytun_queue *q, u32 pos),
	     TP_ARGS(q, pos));

DECLARE_EVENT_CLASS(mytun_drop,
		    TP_PROTO(const struct mytun_queue *q, u32 pos, u32 len),
		    TP_ARGS(q, pos, len),
		    TP_STRUCT__entry(__array(char, name, IFNAMSIZ)
				     __field(u16, queue)
				     __field(u32, pos)
				     __field(u32, len)),
		    TP_fast_assign(memcpy(__entry->name, q->napi.dev->name, IFNAMSIZ);
				   __entry->queue = READ_ONCE(q->index);
				   __entry->pos = pos;
				   __entry->len = len;),
		    TP_printk("dev=%s queue=%u pos=%u len=%u",
			      __entry->name, __entry->queue, __entry->pos,
			      __entry->len));

/* A packet of len bytes found no room at pos in the RX ring. */
DEFINE_EVENT(mytun_drop, mytun_rx_drop,
	     TP_PROTO(const struct mytun_queue *q, u32 pos, u32 len),
	     TP_ARGS(q, pos, len));

/* The TX record at pos, which says that it has len bytes, was dropped. */
DEFINE_EVENT(mytun_drop, mytun_tx_drop,
	     TP_PROTO(const struct mytun_queue *q, u32 pos, u32 len),
	     TP_ARGS(q, pos, len));

/* clang-format on */

#endif /* MYTUN_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
