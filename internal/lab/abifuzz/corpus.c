// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "corpus.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"

size_t corpus_read(const char *dir, void (*each)(const struct program *p, void *arg), void *arg)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);
	size_t programs = 0;

	for (int i = 0; i < n; i++) {
		struct program p;
		const char *wrong;
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (names[i]->d_name[0] != '.') {
			wrong = program_read(&p, read_file(path));
			if (wrong)
				fail("%s: %s", path, wrong);
			each(&p, arg);
			programs++;
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return programs;
}

void corpus_add(struct corpus *c, const struct program *p)
{
	if (c->n == c->room) {
		c->room = c->room ? 2 * c->room : 256;
		c->programs = reallocarray(c->programs, c->room, sizeof(*p));
		if (!c->programs)
			abort();
	}
	c->programs[c->n++] = *p;
}

void corpus_write(const char *dir, const char *name, const struct program *p)
{
	char path[512], text[TEXT_MAX];
	FILE *f;

	mkdir(dir, 0755);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (!f || !program_write(p, text) || fputs(text, f) < 0 || fclose(f))
		fail("%s: cannot be written", path);
}
