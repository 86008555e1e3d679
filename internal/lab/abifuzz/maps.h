/* SPDX-License-Identifier: MIT */
/* Mappings of a program, which all end with it. */
#ifndef MAPS_H
#define MAPS_H

#include <stddef.h>

void maps_add(void *map, size_t len);
void maps_clear(void);

#endif /* MAPS_H */
