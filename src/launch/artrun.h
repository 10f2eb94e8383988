/* SPDX-License-Identifier: MIT
 *
 * Inside artrun: one process, one thread, one epoll loop. What each file decides:
 *   artrun.c        the loop, when the job is over
 *   artrun_opts.c   the command line
 *   artrun_spawn.c  how a rank starts: descriptors, signals, process group
 *   artrun_boot.c   the launcher's side of boot_wire.h
 *   artrun_job.c    deaths, losses, leftovers, exit status
 *   artrun_kill.c   signals in, signals out, deadlines
 *   artrun_io.c     a rank's output, cut into whole lines
 *   artrun_sink.c   our own stdout and stderr, never blocking, never losing
 *   artrun_stdin.c  the terminal, carried to rank 0
 *   artrun_hosts.c  several hosts: which, and the life of their agents as a whole
 *   artrun_place.c  which rank sits on which of them
 *   artrun_tell.c   what agents are told
 *   artrun_hear.c   what they say
 *   artrun_gone.c   their end, and what it says about their ranks
 *   artrun_rsh.c    how an agent is started, and its end
 *   artrun_vote.c   the arbiter of exact halves
 *   artrun_trace.c  --trace: one picture of what the ranks left behind
 *   artrun_agent.c  the agent of a host: a launcher of its ranks that decides nothing
 *
 * With --hosts the ranks are children of agents, not ours: such a rank is not `here`. The agent runs
 * the same files for them and reports what happens (agent_wire.h), and the same code as without
 * agents draws the conclusions, in artrun itself.
 *
 * A rank is a direct child (pid, pidfd). The process that calls art_init is usually the same, but
 * may be a descendant of it (`artrun sh -c ...`): that one is called the member.
 */
#ifndef ART_LAUNCH_ARTRUN_H
#define ART_LAUNCH_ARTRUN_H

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "launch/agent_wire.h"
#include "launch/boot.h"
#include "launch/hosts.h"

#define ART_RELEASE "0.1.0" /* as art_get_version() has it */

/* Exit codes of artrun itself, as timeout(1) and env(1) have them. */
enum { RUN_EXIT_TIMEOUT = 124, RUN_EXIT_SELF = 125, RUN_EXIT_NOEXEC = 126, RUN_EXIT_NOENT = 127 };

enum run_bind { RUN_BIND_NONE, RUN_BIND_SHARE, RUN_BIND_CORE };

struct run_opts {
	int ranks;      /* 0, with hosts: one per slot */
	bool tag, verbose;
	bool agent;     /* this is an agent */
	enum run_bind bind; /* each rank to its share of the cores or one of them, if there are enough */
	enum art_map map;
	const char *hosts;  /* a file or a list, NULL: this host alone */
	const char *rsh;    /* command that reaches a host */
	const char *remote; /* artrun on the other hosts */
	const char *directory; /* where ranks start, NULL: here */
	char **export;      /* variables named by the user, NULL-terminated */
	int exports;
	int cores;      /* that this process may use */
	double timeout; /* seconds, 0: none */
	const char *trace; /* file, NULL: none */
	char **argv;    /* the program, NULL-terminated */
};

struct run_buf { /* bytes [head, tail) of data */
	char *data;
	size_t cap, head, tail;
};

struct run_stream;

struct run_sink { /* where output goes: our stdout or stderr (one sink if they are one file) */
	int fd;
	enum { SINK_WRITE, SINK_SEND, SINK_POLLED } how;
	bool own_fd; /* fd was opened here */
	uint32_t ahead; /* agent: bytes of output that artrun has not taken yet */
	bool dead;   /* nobody reads it any more */
	bool armed;  /* waits for room in epoll */
	struct run_buf queue;
	const struct run_stream *mid; /* whose unfinished line stands last, or NULL */
};

struct run_stream { /* stdout or stderr of a rank */
	int fd; /* -1: at its end */
	int rank;
	bool armed; /* in epoll; not so while its sink is full */
	struct run_sink *sink;
	int last_reads; /* reads after every rank was dead */
	struct run_buf line; /* what came since the last newline */
};

struct run_rank {
	bool here;     /* a child of this process, or to become one */
	uint32_t host; /* position among the hosts */
	int nth;       /* among the ranks of its host */
	char state;    /* not here: the state letter its agent saw last, 0 none yet */
	bool certified; /* not here: agents of the others know of its death */
	pid_t pid;  /* of the child; not here: on its own host, 0 until its agent has told */
	int pidfd; /* -1 once dead */
	bool dead;     /* or not started yet */
	int code;   /* exit code, or 128 + signal */
	int sig;    /* 0: exited */
	bool swept; /* ended by artrun as a leftover */

	int boot_fd;
	bool boot_full;      /* waits for room in epoll */
	unsigned table_next; /* cards of the table already sent */
	int deaths_next;     /* certificates already sent */
	bool told;           /* that the exchange failed */
	bool hello, card, done, lost;
	struct art_last_view *view; /* dead: in which it had acted last; NULL: nothing was noted */
	pid_t member; /* who said hello, 0 before */
	int member_pidfd; /* if that is not the child itself, else -1 */

	struct run_stream out[2];
};

struct run_feed { /* terminal, or with hosts any input -> rank 0; at an agent artrun -> rank 0 */
	int tty, pipe; /* -1: closed */
	bool reading;  /* tty is in epoll */
	bool remote;   /* rank 0 is at an agent: there is no pipe here, and tty may be anything */
	bool always;   /* tty is what epoll cannot watch, a file: always readable */
	size_t off, len;
	char data[ART_AGENT_PIECE];
};

struct run_job {
	struct run_opts opts;
	int epoll, signals;
	struct run_rank *rank;
	int n; /* ranks of the job; with hosts 0 until they are placed */
	int heres; /* ranks that are here */
	int alive;
	struct run_hosts *hosts; /* NULL: no agents */
	struct run_agent *up;    /* this is an agent: its side of the pipe */
	int *death, deaths;      /* agent: deaths on other hosts, in the order they were told */
	int views_fd;            /* where the ranks that are here note their views, -1: there are none, */
	struct art_views views;  /* and as we read it */
	int core[CPU_SETSIZE];   /* with --bind-to core: which core a CPU belongs to, -1 none of ours */

	char *trace_dir; /* where ranks leave their events, NULL: no trace */
	uint64_t id;
	uint8_t key[ART_TP_KEY_BYTES];
	struct art_boot_card *card; /* [n] */
	int cards, hellos, dones;
	bool lowest_half; /* some rank takes the lowest of exact halves for a quorum: nothing is arbitrated */
	int never; /* a rank that will not send its card, -1: all may */
	bool told; /* the user has read of it */

	struct run_sink sink[2];
	struct run_sink *out, *err;
	bool out_failed; /* output was lost other than by a closed pipe */
	struct run_feed feed;

	int end_code; /* >= 0: the job is being ended, with this exit code */
	/* Moments, 0: not set. give_up_at: no longer wait for ranks that do not die; flush_by: no
	 * longer wait for a reader of our output. */
	uint64_t timeout_at, kill_at, give_up_at, flush_by, idle_since, tick_at, ask_at;
	sigset_t caught;  /* signals that signalfd carries */
	sigset_t ignored; /* ignored since before artrun began: ranks inherit that */
	struct rlimit files; /* what ranks get */
};

/* What an epoll event is about; the rank rides along. */
enum run_event {
	RUN_EV_SIGNAL, RUN_EV_BOOT, RUN_EV_CHILD, RUN_EV_MEMBER, RUN_EV_OUT, RUN_EV_ERR,
	RUN_EV_SINK, RUN_EV_TTY, RUN_EV_FEED,
	RUN_EV_LAUNCHER, /* agent: artrun has written */
	/* the rank is the position of a host */
	RUN_EV_HOST_SAYS, RUN_EV_HOST_ROOM, RUN_EV_HOST_WORDS, RUN_EV_HOST_END,
};

/* artrun.c */
uint64_t art__run_now(void); /* monotonic, ns */
/* @op is EPOLL_CTL_*; a failure is fatal (it can only be lack of memory). */
void art__run_epoll(struct run_job *j, int op, int fd, uint32_t events, enum run_event ev,
		    int rank);
/* One sentence on stderr, then exit(RUN_EXIT_SELF). Ranks die with us (PR_SET_PDEATHSIG). */
void art__run_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Room for @n ranks, none of them started. */
void art__run_ranks(struct run_job *j, int n);
/* One round of the loop: sleeps until something happens, and deals with it. */
void art__run_round(struct run_job *j);
bool art__run_passed(uint64_t at); /* 0: never */
/* Ends what is left of the ranks' groups, then reads and writes what is still in the pipes. */
void art__run_finish_output(struct run_job *j);
/* The same for every kind of artrun; @job is zeroed but for its options. */
void art__run_open(struct run_job *j);
void art__run_close(struct run_job *j);

/* artrun_opts.c */
int art__run_usable_cores(void);
void art__run_options(struct run_opts *o, int argc, char **argv);

/* artrun_spawn.c */
void art__run_raise_files(struct run_job *j);
/* Starts all ranks that are here; on failure says why and begins to end the job. */
void art__run_spawn_all(struct run_job *j);
/* Says why rank @rank could not be started and begins to end the job; @where is "" or "host: ". */
void art__run_say_unstarted(struct run_job *j, int rank, int err, enum art_agent_fault fault,
			    const char *where);

/* artrun_boot.c */
void art__run_boot_readable(struct run_job *j, struct run_rank *r);
void art__run_boot_room(struct run_job *j, struct run_rank *r);
void art__run_boot_close(struct run_rank *r);
/* In which view this rank, dead, had acted last: of one that is here, from its page; of another, as its
 * agent or artrun has told. False: they have told no such thing. */
void art__run_view_look(struct run_job *j, struct run_rank *r);
/* A question of @r for the arbiter, and an answer to it. */
void art__run_vote(struct run_job *j, struct run_rank *r, const uint8_t *p, size_t len);
void art__run_voted(struct run_job *j, struct run_rank *r, const void *p, size_t len);
bool art__run_view_told(struct run_job *j, struct run_rank *r, const void *data, size_t len);
const struct art_last_view *art__run_view(const struct run_rank *r);
/* If @r has not sent its card, it never will: tell everyone who waits for it. */
void art__run_boot_gone(struct run_job *j, struct run_rank *r);
/* A card has come; if it was the last, everyone gets the table. */
void art__run_boot_card(struct run_job *j, struct run_rank *r, const struct art_boot_card *card);
void art__run_boot_abort(struct run_job *j, struct run_rank *r, int code);
/* Agent: the table, a certificate or a failure has come. */
void art__run_boot_news(struct run_job *j);

/* artrun_job.c */
int art__run_index(const struct run_job *j, const struct run_rank *r);
void art__run_child_died(struct run_job *j, struct run_rank *r);
void art__run_member_died(struct run_job *j, struct run_rank *r);
/* What the end of a child means, wherever it was; its dead, sig and code are set. */
void art__run_judge(struct run_job *j, struct run_rank *r);
void art__run_lose(struct run_job *j, struct run_rank *r);
char art__run_state(const struct run_rank *r);
void art__run_watch_leftovers(struct run_job *j);
int art__run_exit_code(struct run_job *j);

/* artrun_kill.c */
void art__run_signals_open(struct run_job *j);
void art__run_signals_read(struct run_job *j);
void art__run_signal_rank(struct run_job *j, const struct run_rank *r, int sig);
/* The job ends with @code: @sig to all now, SIGKILL after @grace_ns. The first call decides the
 * code, any further one only hastens the end. */
void art__run_end(struct run_job *j, int code, int sig, uint64_t grace_ns);
void art__run_deadlines(struct run_job *j);

/* artrun_io.c */
void art__run_stream_open(struct run_job *j, int rank, int which, int fd);
/* Reads once. */
void art__run_stream_readable(struct run_job *j, struct run_stream *s);
/* Reads all there is, as far as the sink has room; if @last, that was the end of it. */
void art__run_stream_drain(struct run_job *j, struct run_stream *s, bool last);
/* Sinks have room again: goes on with the streams that waited for it. */
void art__run_streams_resume(struct run_job *j);
void art__run_stream_close(struct run_job *j, struct run_stream *s);
/* With hosts: text of a rank that is not here, and the end of it. */
void art__run_stream_text(struct run_job *j, struct run_stream *s, const char *text, size_t len);
void art__run_stream_end(struct run_job *j, struct run_stream *s);
/* A line of our own, on stderr, between the ranks' lines. */
void art__run_say(struct run_job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* artrun_sink.c */
void art__run_buf_add(struct run_buf *b, const char *data, size_t len);
void art__run_buf_free(struct run_buf *b);
void art__run_sinks_open(struct run_job *j);
void art__run_sinks_close(struct run_job *j);
bool art__run_sink_full(const struct run_sink *s);
bool art__run_sinks_empty(const struct run_job *j);
void art__run_sinks_flush(struct run_job *j);

/* artrun_stdin.c */
/* The descriptor that rank 0 gets as standard input; the caller closes it if it is not 0. */
int art__run_feed_open(struct run_job *j);
/* With hosts: whatever our standard input is, it goes to rank 0 through its agent. */
void art__run_feed_remote(struct run_job *j);
void art__run_feed_readable(struct run_job *j);
void art__run_feed_room(struct run_job *j);
/* Are we in the terminal's foreground now? Then read from it. */
void art__run_feed_resume(struct run_job *j);
void art__run_feed_close(struct run_job *j);
/* With hosts: rank 0 has taken the piece, or (closed) wants no more. */
void art__run_feed_took(struct run_job *j, bool closed);
/* Agent: a piece for rank 0; empty: the end of the input. */
void art__run_feed_piece(struct run_job *j, const uint8_t *data, size_t len);

/* artrun_hosts.c and the files beside it */
void art__hosts_open(struct run_job *j); /* reads the table, starts agents */
/* Hosts are not all there yet, and still may be. */
bool art__hosts_awaited(const struct run_job *j);
void art__hosts_close(struct run_job *j); /* the job is over: ends the agents, and awaits that */
void art__hosts_free(struct run_job *j);
void art__hosts_signal(struct run_job *j, const struct run_rank *r, int sig);
void art__hosts_table(struct run_job *j);
void art__hosts_never(struct run_job *j);
/* The kernel of its host has said that the process of @r is gone. */
void art__hosts_certify(struct run_job *j, struct run_rank *r);
void art__hosts_look(struct run_job *j);
void art__hosts_voted(struct run_job *j, const struct run_rank *r, const void *p, size_t len);
/* The state of @r, not here, is what its agent saw within the last second. */
bool art__hosts_seen(const struct run_job *j, const struct run_rank *r);
/* Asks all agents whether they are there, and gives up those that have not said so for long. */
void art__hosts_ask(struct run_job *j);
void art__hosts_input(struct run_job *j, const char *data, size_t len);
void art__hosts_shut(struct run_job *j, int which); /* bit 0: stdout, bit 1: stderr */
void art__hosts_flush(struct run_job *j);           /* and what output was taken */
void art__hosts_event(struct run_job *j, enum run_event ev, uint32_t host);
const char *art__hosts_name(const struct run_job *j, const struct run_rank *r);

/* artrun_agent.c */
int art__agent_main(struct run_job *j);
void art__agent_readable(struct run_job *j);
void art__agent_report(struct run_job *j, enum art_agent_kind kind, const struct run_rank *r,
		       const void *body, size_t len);
void art__agent_number(struct run_job *j, enum art_agent_kind kind, const struct run_rank *r, int n);
void art__agent_output(struct run_job *j, const struct run_stream *s, const char *text, size_t len);
/* Nobody listens any more. */
void art__agent_cut(struct run_job *j);

/* artrun_trace.c: before the first rank starts; when all are gone. Without --trace nothing. */
void art__run_trace_open(struct run_job *j);
void art__run_trace_close(struct run_job *j);

#endif
