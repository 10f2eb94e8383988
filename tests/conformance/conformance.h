/* SPDX-License-Identifier: MIT
 *
 * What every transport has to pass. A rig gives one kind of transport its world and its time;
 * nodes are instances that write down what they are told and complain at once if it is not what
 * the contract allows (bytes, order, up before message, silence after drop). Cases are written
 * against nodes only.
 *
 * Nobody sleeps: when no node has anything to do, the rig lets time pass until a descriptor is
 * readable or wake_ns() has come. If neither will ever be, the case fails: so each case also
 * tests that fd() and wake_ns() tell of everything.
 */
#ifndef ART_TESTS_CONFORMANCE_H
#define ART_TESTS_CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/env.h"
#include "transport/transport.h"

#define CONF_NODES 8
/* Who all nodes are. */
#define CONF_JOB 7
#define CONF_INCARNATION 1
#define CONF_KEY_BYTE 0x5a

struct conf;

struct conf_node {
	struct conf *c;
	int slot;
	struct art_tp *tp; /* NULL: closed */
	char addr[ART_TP_ADDR_MAX];
	bool polling;
	struct conf_seen {
		bool up, silent; /* silent: no upcall may come any more */
		bool gap;        /* the next message may be a later one */
		unsigned ups, downs, rooms, got;
		size_t got_bytes;
		enum art_tp_why why; /* of the last down() */
		uint64_t sent, received; /* numbers of the next message */
	} peer[CONF_NODES];
	unsigned deaf;           /* upcalls of that name */
	/* Called at the end of an upcall; may be NULL. */
	void (*on_message)(struct conf_node *n, int peer);
	void (*on_down)(struct conf_node *n, int peer);
	void *arg;
};

struct conf_rig {
	const char *name; /* as given on the command line */
	/* Makes the world for c->size nodes; opts.world and c->ops are set. */
	void (*make)(struct conf *c);
	void (*unmake)(struct conf *c);
	/* Time passes until something may happen. False: nothing ever will. */
	bool (*advance)(struct conf *c);
	/* What is under way arrives, without anybody polling. */
	void (*settle)(struct conf *c);
	uint64_t (*now_ns)(void *conf);
	void (*opened)(struct conf_node *n); /* or NULL */
	const char *iface; /* opts.iface, or NULL */
	enum art_tp_security security;
};

struct conf {
	const struct conf_rig *rig;
	const struct art_tp_ops *ops;
	struct art_env env;
	void *world;       /* the rig's own */
	struct art_tp_opts opts;
	const char *name;  /* of the case */
	int size;
	struct conf_node node[CONF_NODES];
	uint64_t start_ns;
	unsigned idle;     /* turns in a row without an upcall */
	long live;         /* allocations not freed */
	long fail_at;      /* the allocation of this number fails; 0: none */
	long allocs;
	unsigned lines;    /* logged */
	uint64_t luck;     /* of the rig that makes system calls fail */
};

struct conf_case {
	const char *name;
	void (*run)(struct conf *c);
};
extern const struct conf_case conf_cases[]; /* ends with a NULL name */

const struct conf_rig *conf_rig_find(const char *name);
/* Runs all cases, or the one of that name. An exit code. */
int conf_run(const struct conf_rig *rig, const char *only);

/* ---- for cases ---- */
void conf_fail(const struct conf *c, const char *file, int line, const char *what)
	__attribute__((noreturn));
#define CHECK(c, cond) \
	do { \
		if (!(cond)) \
			conf_fail((c), __FILE__, __LINE__, #cond); \
	} while (0)
/* Polls everybody until @cond. */
#define UNTIL(c, cond) \
	do { \
		conf_mark(c); \
		while (!(cond)) \
			conf_turn(c); \
	} while (0)

/* @n nodes that listen and know each other. */
void conf_begin(struct conf *c, int n);
void conf_end(struct conf *c);
void conf_open(struct conf *c, int slot);
void conf_close(struct conf *c, int slot);
void conf_introduce(struct conf *c, int slot, int peer);
void conf_mark(struct conf *c);
void conf_turn(struct conf *c);
void conf_advance(struct conf *c);
int conf_poll(struct conf_node *n, int budget);
/* Sends the next numbered message; its body comes in @pieces parts. What send() answered. */
int conf_send(struct conf_node *n, int peer, size_t len, int pieces);
/* Sends the next @messages numbered ones as a run, of @each bytes, the last of @last: how many were taken. */
int conf_send_run(struct conf_node *n, int peer, int messages, size_t each, size_t last, bool *room);
void conf_send_garbage(struct conf_node *n, int peer);
void conf_reset(struct conf_node *n, int peer);
void conf_drop(struct conf_node *n, int peer);
/* Everything @n sent to @peer has come. */
bool conf_came(struct conf *c, int n, int peer);
bool conf_readable(struct conf_node *n);

#endif
