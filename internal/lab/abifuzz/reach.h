/* SPDX-License-Identifier: MIT */
/* The map in which a module that was built with MYTUN_INSTRUMENT=reach tells what is reached. */
#ifndef REACH_H
#define REACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCKS (1 << 17)

/* For each block a bit: reached once, a few times, many times. */
struct seen {
	uint8_t how[BLOCKS];
};

/* false: the module does not tell. */
bool reach_map(void);
void reach_reset(void);
void reach_seen(struct seen *s);
/* What a panic shall say. */
void reach_say(const char *text);

/* How many bits @s has that @all has not. */
size_t seen_new(const struct seen *s, const struct seen *all);
/* Leaves in @s what @all has not, */
void seen_without(struct seen *s, const struct seen *all);
/* or what @other has too. */
void seen_both(struct seen *s, const struct seen *other);
void seen_add(struct seen *all, const struct seen *s);
/* Each block of @want, however often. */
bool seen_all_of(const struct seen *s, const struct seen *want);
size_t seen_blocks(const struct seen *s);

#endif /* REACH_H */
