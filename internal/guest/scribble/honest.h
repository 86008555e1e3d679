/* SPDX-License-Identifier: MIT */
/* The neighbours of the hostile program, who must not notice it. */
#ifndef HONEST_H
#define HONEST_H

/*
 * For spawn(), with a pointer to the seed: makes the shared and the honest interface and
 * carries numbered packets over both, in both directions, until tally->quiet. Fails when
 * one is lost, counted or not, comes twice, late, or changed.
 */
void honest(void *seed);

#endif /* HONEST_H */
