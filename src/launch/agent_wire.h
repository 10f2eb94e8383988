/* SPDX-License-Identifier: MIT
 *
 * What artrun and its agent on a host say to each other, over the agent's standard input and
 * output: kinds, layouts and the checks of lengths. Pure. Integers are in the byte order of the
 * hosts, which the magic number shows to be one.
 *
 *   agent            artrun
 *   HELLO   ->                where it runs, what it is
 *           <-  START         job, key, program, which ranks; nothing secret travels otherwise
 *   STARTED, UNSTARTED ->                     what became of each
 *   JOINED, CARD, DONE, ABORT, CLOSED ->      what a rank says (boot_wire.h)
 *           <-  TABLE ..., or NEVER           and what it is told
 *   EXIT, MEMBER_GONE ->                      an end, seen by the kernel of its host, and in which view
 *                                             it had acted last
 *           <-  DEAD                          the same, to the agents of the other hosts
 *   VOTE    ->  <-  VOTED     the arbiter of exact halves is asked by a rank, and answers
 *   OUTPUT  ->  <-  CREDIT    output, at most ART_AGENT_WINDOW bytes ahead of what was taken
 *   TOOK    ->  <-  INPUT     input of rank 0, one piece at a time
 *
 * The end of its standard input ends the agent and its ranks. Should the agent itself be killed, its
 * ranks die with it, and a guard that has reaped them all ends with the code ART_AGENT_WITNESSED:
 * that is a certificate for all of them.
 */
#ifndef ART_LAUNCH_AGENT_WIRE_H
#define ART_LAUNCH_AGENT_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "launch/boot.h"
#include "launch/host_id.h"
#include "launch/last_view.h"

#define ART_AGENT_MAGIC UINT32_C(0x41525441)
#define ART_AGENT_VERSION 5
#define ART_AGENT_WINDOW (256u << 10)
#define ART_AGENT_PIECE (64u << 10)  /* of input or output in one message, at most */
#define ART_AGENT_LEN_MAX (16u << 20) /* of START: argument and environment strings */
#define ART_AGENT_TEXT_MAX 600u
#define ART_AGENT_WITNESSED 113

enum art_agent_kind {
	ART_AGENT_HELLO = 1,
	ART_AGENT_STARTED,     /* its process */
	ART_AGENT_UNSTARTED,   /* a rank could not be started */
	ART_AGENT_JOINED,      /* a process has called art_init */
	ART_AGENT_CARD,
	ART_AGENT_DONE,
	ART_AGENT_ABORT,
	ART_AGENT_CLOSED,      /* no card will come from this rank */
	ART_AGENT_EXIT,
	ART_AGENT_MEMBER_GONE, /* the process that had called art_init, below the child itself */
	ART_AGENT_OUTPUT,
	ART_AGENT_STATES,
	ART_AGENT_TOOK,
	ART_AGENT_SAY,
	ART_AGENT_VOTE,
	/* to the agent */
	ART_AGENT_START,
	ART_AGENT_TABLE,
	ART_AGENT_NEVER,
	ART_AGENT_DEAD,
	ART_AGENT_SIGNAL,
	ART_AGENT_LOOK,        /* asks for STATES */
	ART_AGENT_INPUT,       /* empty: the end of it */
	ART_AGENT_CREDIT,
	ART_AGENT_VOTED,
	ART_AGENT_SHUT,        /* nobody reads this output any more */
	ART_AGENT_KINDS
};

/* The first four members keep their places in every version. */
struct art_agent_head {
	uint32_t magic;
	uint16_t version;
	uint16_t kind;
	uint32_t len; /* of the whole message */
	int32_t rank; /* whom it is about */
};

struct art_agent_hello {
	struct art_host_id id;
	uint32_t cores;
	uint32_t pid;
	char release[24];
	char server[64], client[64]; /* addresses of the connection it came over, or "" */
};

enum art_agent_fault { ART_AGENT_F_SILENT, ART_AGENT_F_SPAWN, ART_AGENT_F_EXEC, ART_AGENT_F_SCRIPT,
		       ART_AGENT_F_DIRECTORY };

struct art_agent_unstarted {
	int32_t err;
	uint32_t fault;
};

struct art_agent_exit { /* then: its last view */
	int32_t sig, code;
	uint64_t seen_ns; /* CLOCK_MONOTONIC of the agent's host when it was seen */
};

struct art_agent_state {
	int32_t rank;
	uint32_t letter;
};

struct art_agent_number { /* ABORT: code; STARTED: pid; SIGNAL: signal; TOOK, CREDIT: bytes; ... */
	int32_t n;
};

struct art_agent_joined {
	int32_t pid;
	uint32_t lowest_half; /* as art_boot has it */
};

struct art_agent_dead {
	uint64_t incarnation; /* then: its last view */
};

/* Then: ranks[mine], and the strings in this order, each with its NUL. */
struct art_agent_start {
	uint64_t job;
	uint8_t key[ART_TP_KEY_BYTES];
	uint32_t size, mine;
	uint32_t argc, envc;
	uint32_t bind;
	uint32_t verbose;
	/* directory, interface, toward, argv[argc], env[envc] */
};

struct art_agent_table {
	uint32_t first, count;
	/* struct art_boot_card card[count] */
};

#define ART_AGENT_TABLE_CARDS 64u

_Static_assert(sizeof(struct art_agent_head) == 16, "head has no holes");
_Static_assert(sizeof(struct art_agent_hello) == 16 + 40 + 24 + 128, "no holes");
_Static_assert(sizeof(struct art_agent_start) == 8 + ART_TP_KEY_BYTES + 24, "no holes");

static inline struct art_agent_head art__agent_head(enum art_agent_kind kind, int rank, size_t body)
{
	return (struct art_agent_head){ .magic = ART_AGENT_MAGIC, .version = ART_AGENT_VERSION,
					.kind = (uint16_t)kind,
					.len = (uint32_t)(sizeof(struct art_agent_head) + body),
					.rank = rank };
}

enum { ART_AGENT_GARBAGE = -1, ART_AGENT_OTHER_VERSION = -2 };

/* Looks at the @have bytes that came: the length of the message they begin with if it is there
 * whole, 0 if more must come, or one of the two above. A length is believed only within what its
 * kind allows. */
ssize_t art__agent_whole(const uint8_t *data, size_t have);

/* Where the first message of another artrun may begin in @data: what login scripts print comes
 * before it. @have if there is no sign of it. */
size_t art__agent_find(const uint8_t *data, size_t have);

/* START taken apart; everything points into the message. */
struct art_agent_job {
	struct art_agent_start start;
	const uint8_t *ranks; /* mine numbers of 32 bits, not aligned */
	const char *directory, *iface, *toward;
	const char *strings;  /* argv, then env */
};

/* Checks a whole START: ranks ascend and are below size, strings end within. 0 or ART_ERR_ARG. */
int art__agent_start(const uint8_t *data, size_t len, struct art_agent_job *out);
/* The string behind @s of those that art__agent_start() has checked. */
const char *art__agent_next(const char *s);

#endif
