// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* xorshift64* */
static uint64_t random_next(struct random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dULL;
}

uint32_t random_below(struct random *r, uint32_t n)
{
	return (random_next(r) >> 32) % n;
}

static bool one_in(struct random *r, uint32_t n)
{
	return !random_below(r, n);
}

static uint64_t random_value(const struct kind *k, struct random *r)
{
	uint64_t v = k->values[random_below(r, k->n)];

	if (k->bits && one_in(r, 4)) {
		uint64_t bit;

		do
			bit = 1ULL << random_below(r, 64);
		while (!(bit & k->bits));
		v ^= bit;
	}
	if (!k->number || !one_in(r, 4))
		return v;
	switch (random_below(r, 5)) {
	case 0:
		return v + 1;
	case 1:
		return v - 1;
	case 2:
		return v + 16 * (random_below(r, 9) - 4ULL);
	case 3:
		return random_below(r, 256);
	}
	return random_next(r) >> random_below(r, 64);
}

static void random_call(struct call *c, struct random *r, bool fails)
{
	static unsigned int total;
	uint32_t at;

	if (!total)
		for (size_t i = 0; i < ops_n; i++)
			total += ops[i].weight;
	memset(c, 0, sizeof(*c));
	at = random_below(r, total);
	while (at >= ops[c->op].weight)
		at -= ops[c->op++].weight;
	for (size_t i = 0; i < ARGS_MAX && ops[c->op].args[i].name; i++)
		c->arg[i] = random_value(ops[c->op].args[i].kind, r);
	if (one_in(r, 8))
		c->helper = 1 + random_below(r, HELPERS_MAX);
	if (fails && one_in(r, 16))
		c->fail = 1 + random_below(r, 40);
}

static void random_named(struct call *c, const char *name, struct random *r)
{
	memset(c, 0, sizeof(*c));
	while (strcmp(ops[c->op].name, name))
		c->op++;
	for (size_t i = 0; i < ARGS_MAX && ops[c->op].args[i].name; i++)
		c->arg[i] = random_value(ops[c->op].args[i].kind, r);
}

/* Begins as programs do, or else most calls would find nothing to work on. */
void program_generate(struct program *p, struct random *r, bool fails)
{
	static const char *const begin[] = { "open", "setiff", "link", "rings", "map" };
	size_t known = random_below(r, 6), n = 4 + random_below(r, 16);

	p->n = 0;
	for (; p->n < known; p->n++) {
		random_named(&p->call[p->n], begin[p->n], r);
		if (strcmp(begin[p->n], "link"))
			p->call[p->n].arg[0] = 0;
	}
	while (p->n < known + n)
		random_call(&p->call[p->n++], r, fails);
}

void program_remove(struct program *p, size_t call)
{
	p->n--;
	memmove(&p->call[call], &p->call[call + 1], (p->n - call) * sizeof(p->call[0]));
}

static struct call *insert(struct program *p, size_t at)
{
	if (p->n == CALLS_MAX)
		p->n--;
	if (at > p->n)
		at = p->n;
	memmove(&p->call[at + 1], &p->call[at], (p->n - at) * sizeof(p->call[0]));
	p->n++;
	return &p->call[at];
}

static void mutate_argument(struct call *c, struct random *r)
{
	size_t n = 0;

	while (n < ARGS_MAX && ops[c->op].args[n].name)
		n++;
	if (n) {
		size_t i = random_below(r, n);

		c->arg[i] = random_value(ops[c->op].args[i].kind, r);
	}
}

/* The end of @other instead of the own one. */
static void splice(struct program *p, const struct program *other, struct random *r)
{
	size_t from = random_below(r, other->n), n = other->n - from;
	size_t at = random_below(r, p->n + 1);

	if (n > CALLS_MAX - at)
		n = CALLS_MAX - at;
	memcpy(&p->call[at], &other->call[from], n * sizeof(p->call[0]));
	p->n = at + n;
}

static void mutate_once(struct program *p, const struct program *other, struct random *r,
			bool fails)
{
	struct call *c = p->n ? &p->call[random_below(r, p->n)] : NULL, copy;

	switch (c ? random_below(r, 16) : 0) {
	case 0 ... 4:
		random_call(insert(p, random_below(r, p->n + 1)), r, fails);
		break;
	case 5 ... 9:
		mutate_argument(c, r);
		break;
	case 10:
		program_remove(p, c - p->call);
		break;
	case 11:
		copy = *c;
		*insert(p, random_below(r, p->n + 1)) = copy;
		break;
	case 12:
		if (other->n)
			splice(p, other, r);
		break;
	case 13:
		c->helper = random_below(r, HELPERS_MAX + 1);
		break;
	case 14:
		c->fail = fails && one_in(r, 2) ? 1 + random_below(r, 100) : 0;
		break;
	case 15:
		if (c == p->call)
			break;
		copy = *c;
		*c = c[-1];
		c[-1] = copy;
		break;
	}
}

void program_mutate(struct program *p, const struct program *other, struct random *r, bool fails)
{
	do
		mutate_once(p, other, r, fails);
	while (!one_in(r, 3));
}

bool program_write(const struct program *p, char *text)
{
	char *end = text + TEXT_MAX, *at = text;

	*at = '\0';
	for (const struct call *c = p->call; c < p->call + p->n; c++) {
		const struct op *op = &ops[c->op];

		at += snprintf(at, end - at, "%s", op->name);
		for (size_t i = 0; i < ARGS_MAX && op->args[i].name; i++)
			if (c->arg[i] && end - at > 64)
				at += snprintf(at, end - at, " %s=%#llx", op->args[i].name,
					       (unsigned long long)c->arg[i]);
		if (end - at < 64)
			return false;
		if (c->helper)
			at += snprintf(at, end - at, " @%u", c->helper);
		if (c->fail)
			at += snprintf(at, end - at, " !%u", c->fail);
		at += snprintf(at, end - at, "\n");
	}
	return true;
}

static const char *read_word(struct call *c, const char *word)
{
	const struct op *op = &ops[c->op];
	const char *is = strchr(word, '=');

	if (*word == '@') {
		c->helper = strtoul(word + 1, NULL, 0);
		return c->helper <= HELPERS_MAX ? NULL : "no such helper";
	}
	if (*word == '!') {
		c->fail = strtoul(word + 1, NULL, 0);
		return NULL;
	}
	for (size_t i = 0; is && i < ARGS_MAX && op->args[i].name; i++) {
		if (strncmp(op->args[i].name, word, is - word) || op->args[i].name[is - word])
			continue;
		c->arg[i] = strtoull(is + 1, NULL, 0);
		return NULL;
	}
	return "no such argument";
}

static const char *read_call(struct call *c, char *line)
{
	const char *word = strsep(&line, " "), *wrong = NULL;

	memset(c, 0, sizeof(*c));
	while (c->op < ops_n && strcmp(ops[c->op].name, word))
		c->op++;
	if (c->op == ops_n)
		return "no such call";
	while (!wrong && (word = strsep(&line, " ")))
		wrong = read_word(c, word);
	return wrong;
}

const char *program_read(struct program *p, const char *text)
{
	char *copy = strdup(text), *rest = copy, *line;
	const char *wrong = NULL;

	p->n = 0;
	while (!wrong && (line = strsep(&rest, "\n"))) {
		if (!*line || *line == '#')
			continue;
		wrong = p->n < CALLS_MAX ? read_call(&p->call[p->n++], line) : "too long";
	}
	free(copy);
	return wrong;
}
