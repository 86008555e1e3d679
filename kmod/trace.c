// SPDX-License-Identifier: GPL-2.0
/* The one place that the tracepoints are in. */
#define CREATE_TRACE_POINTS
#include "trace.h"
