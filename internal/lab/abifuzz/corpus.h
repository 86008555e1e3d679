/* SPDX-License-Identifier: MIT */
/* Programs that reached something of the module, to be changed and saved. */
#ifndef CORPUS_H
#define CORPUS_H

#include <stdbool.h>
#include <stddef.h>

#include "reach.h"
#include "program.h"

struct corpus {
	struct program *programs;
	size_t n, room;
	struct seen seen; /* by all of them */
};

/* Calls @each with every program of the directory; returns how many there were. */
size_t corpus_read(const char *dir, void (*each)(const struct program *p, void *arg), void *arg);
void corpus_add(struct corpus *c, const struct program *p);
/* Writes the text of a program as DIR/NAME. */
void corpus_write(const char *dir, const char *name, const struct program *p);

#endif /* CORPUS_H */
