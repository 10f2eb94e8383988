/* SPDX-License-Identifier: MIT
 *
 * What artrun knows of the hosts of a job; shared by the files that deal with agents.
 *
 *   idle --> starting --HELLO--> greeted --START--> running --input closed--> closing
 *               `-----------------`------------------`--end of the agent------`--> gone
 */
#ifndef ART_LAUNCH_ARTRUN_HOSTS_H
#define ART_LAUNCH_ARTRUN_HOSTS_H

#include "launch/artrun.h"

/* So many agents are being started at a time: sshd and the network are not flooded. */
#define RUN_STARTING_MAX 64
/* Agents are asked so often whether they are there. One that works answers at once; logging in, and
 * starting ranks, may take its time. */
#define RUN_ASK_S 5
#define RUN_ASKS_WORKING 4
#define RUN_ASKS_STARTING 12

enum run_host_state { RUN_H_IDLE, RUN_H_STARTING, RUN_H_GREETED, RUN_H_RUNNING, RUN_H_CLOSING,
		      RUN_H_GONE };

struct run_host {
	enum run_host_state state;
	const char *name;
	uint32_t slots; /* 0: its cores */
	pid_t pid;      /* of ssh, or of the agent itself */
	int pidfd, to, from, words; /* -1: closed */
	bool room;      /* waits for room in epoll */
	bool skipped;   /* a message of ours has come: nothing of a login script is left to skip */
	struct run_buf out, in, said; /* to it, from it, its standard error up to a newline */
	char last[200]; /* the last line it said */
	struct art_agent_hello hello;
	int number;     /* the same for two names of one host */
	uint32_t owed;  /* bytes of output taken and not credited yet */
	uint64_t states_at; /* it told the states of its ranks last; 0: never */
	bool heard;     /* something came since it was asked last */
	int unanswered, patience; /* asks without a word since; so many, and it is given up */
};

struct run_hosts {
	struct art_hosts table;
	struct run_host *host; /* [table.n] */
	size_t starting, greeted, gone, next; /* next: the first idle one */
	bool placed;  /* ranks have places */
	bool tabled;  /* agents have the table */
	bool closing;
	bool local;   /* all on one host */
};

static inline struct run_host *art__hosts_host(const struct run_job *j, const struct run_rank *r)
{
	return &j->hosts->host[r->host];
}

/* artrun_hosts.c */
void art__hosts_more(struct run_job *j); /* starts agents, as many as may be starting */

/* artrun_tell.c */
void art__hosts_flush_one(struct run_job *j, struct run_host *h);

/* artrun_place.c: all agents have greeted */
void art__hosts_start(struct run_job *j);

/* artrun_hear.c: reads and acts on what is there. False at the end of it. */
bool art__hosts_read(struct run_job *j, struct run_host *h);

/* artrun_gone.c */
/* It has @asks rounds of art__hosts_ask() to say something. */
void art__hosts_expect(struct run_host *h, int asks);
void art__hosts_shut_input(struct run_host *h);
/* Its process has ended. */
void art__hosts_ended(struct run_job *j, struct run_host *h);
/* Nothing more comes from @h; @witnessed: and its guard has seen the end of all its ranks. */
void art__hosts_gone(struct run_job *j, struct run_host *h, const char *why, bool witnessed);

/* artrun_rsh.c */
/* Starts the agent; false and a sentence if not even that is possible. */
bool art__rsh_start(struct run_job *j, struct run_host *h);
/* Its standard error is readable: passes lines on. */
void art__rsh_words(struct run_job *j, struct run_host *h);
/* Reaps it. Says in @text why no agent came, or why it went. True if the agent's guard has seen the
 * end of all its ranks. */
bool art__rsh_ended(struct run_job *j, struct run_host *h, char *text, size_t size);
bool art__rsh_is_here(const char *name);

#endif
