/* SPDX-License-Identifier: MIT */
/*
 * Programs of calls: what the fuzzer makes, changes, keeps and runs.
 *
 * A call is an operation of the table and its arguments, all of them numbers, so that one way of
 * writing them down, of making them up and of changing them serves all. In text a call is a line,
 *
 *	setiff fd=0 name=1 flags=0x1001 @1 !7
 *
 * where an argument that is not named is 0, "@1" has it run by the first helping thread, while the
 * program goes on, and "!7" has the seventh allocation in it fail.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGS_MAX    16
#define CALLS_MAX   40
#define HELPERS_MAX 2
#define TEXT_MAX    4096 /* what the module has room for, too */

/* What is worth trying for an argument. */
struct kind {
	const uint64_t *values; /* these, more than others */
	size_t n;
	uint64_t bits; /* with one of these changed */
	bool number; /* and with others near and far */
};

struct op {
	const char *name;
	unsigned int weight; /* how often, beside the others */
	struct {
		const char *name;
		const struct kind *kind;
	} args[ARGS_MAX];
	void (*run)(const uint64_t *a);
};

extern const struct op ops[];
extern const size_t ops_n;

struct call {
	uint8_t op;
	uint8_t helper; /* 0: none */
	uint16_t fail;
	uint64_t arg[ARGS_MAX];
};

struct program {
	size_t n;
	struct call call[CALLS_MAX];
};

/* The same numbers from the same seed. */
struct random {
	uint64_t state;
};

uint32_t random_below(struct random *r, uint32_t n);

void program_generate(struct program *p, struct random *r, bool fails);
void program_mutate(struct program *p, const struct program *other, struct random *r, bool fails);
void program_remove(struct program *p, size_t call);

/* In at most TEXT_MAX bytes; false if it is longer. */
bool program_write(const struct program *p, char *text);
/* NULL, or what is wrong with the text. */
const char *program_read(struct program *p, const char *text);

#endif /* PROGRAM_H */
