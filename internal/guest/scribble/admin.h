/* SPDX-License-Identifier: MIT */
/* Whoever administers the hostile interface, and packets for it from the stack. */
#ifndef ADMIN_H
#define ADMIN_H

/* For spawn(), with a pointer to the seed: until it is told to stop. */
void administer(void *seed);
/* The same: sends to the hostile queues, and searches all that a capture sees. */
void send_and_capture(void *seed);
/* Deletes the hostile interface wherever it is. */
void hostile_delete(void);
/* A second network namespace for it, of this process and its children. */
void away_new(void);

#endif /* ADMIN_H */
