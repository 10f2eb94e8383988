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
 *
 * A rank is a direct child (pid, pidfd). The process that calls art_init is usually the same, but
 * may be a descendant of it (`artrun sh -c ...`): that one is called the member.
 */
#ifndef ART_LAUNCH_ARTRUN_H
#define ART_LAUNCH_ARTRUN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "launch/boot.h"

/* Exit codes of artrun itself, as timeout(1) and env(1) have them. */
enum { RUN_EXIT_TIMEOUT = 124, RUN_EXIT_SELF = 125, RUN_EXIT_NOEXEC = 126, RUN_EXIT_NOENT = 127 };

struct run_opts {
	int ranks;
	bool tag, verbose;
	bool bind;      /* each rank to its share of the cores, if there are enough */
	int cores;      /* that this process may use */
	double timeout; /* seconds, 0: none */
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
	pid_t pid;
	int pidfd; /* -1 once dead */
	bool dead;
	int code;   /* exit code, or 128 + signal */
	int sig;    /* 0: exited */
	bool swept; /* ended by artrun as a leftover */

	int boot_fd;
	bool boot_full;      /* waits for room in epoll */
	unsigned table_next; /* cards of the table already sent */
	bool told;           /* that the exchange failed */
	bool hello, card, done, lost;
	pid_t member; /* who said hello, 0 before */
	int member_pidfd; /* if that is not the child itself, else -1 */

	struct run_stream out[2];
};

struct run_feed { /* terminal -> rank 0 */
	int tty, pipe; /* -1: closed */
	bool reading;  /* tty is in epoll */
	size_t off, len;
	char data[4096];
};

struct run_job {
	struct run_opts opts;
	int epoll, signals;
	struct run_rank *rank;
	int n; /* ranks started */
	int alive;

	uint64_t id;
	uint8_t key[ART_TP_KEY_BYTES];
	struct art_boot_card *card; /* [n] */
	int cards, hellos, dones;
	int never; /* a rank that will not send its card, -1: all may */
	bool told; /* the user has read of it */

	struct run_sink sink[2];
	struct run_sink *out, *err;
	bool out_failed; /* output was lost other than by a closed pipe */
	struct run_feed feed;

	int end_code; /* >= 0: the job is being ended, with this exit code */
	/* Moments, 0: not set. give_up_at: no longer wait for ranks that do not die; flush_by: no
	 * longer wait for a reader of our output. */
	uint64_t timeout_at, kill_at, give_up_at, flush_by, idle_since, tick_at;
	sigset_t caught;  /* signals that signalfd carries */
	sigset_t ignored; /* ignored since before artrun began: ranks inherit that */
	struct rlimit files; /* what ranks get */
};

/* What an epoll event is about; the rank rides along. */
enum run_event {
	RUN_EV_SIGNAL, RUN_EV_BOOT, RUN_EV_CHILD, RUN_EV_MEMBER, RUN_EV_OUT, RUN_EV_ERR,
	RUN_EV_SINK, RUN_EV_TTY, RUN_EV_FEED,
};

/* artrun.c */
uint64_t art__run_now(void); /* monotonic, ns */
/* @op is EPOLL_CTL_*; a failure is fatal (it can only be lack of memory). */
void art__run_epoll(struct run_job *j, int op, int fd, uint32_t events, enum run_event ev,
		    int rank);
/* One sentence on stderr, then exit(RUN_EXIT_SELF). Ranks die with us (PR_SET_PDEATHSIG). */
void art__run_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* artrun_opts.c */
void art__run_options(struct run_opts *o, int argc, char **argv);

/* artrun_spawn.c */
void art__run_raise_files(struct run_job *j);
/* Starts all ranks; on failure says why and begins to end the job. */
void art__run_spawn_all(struct run_job *j);

/* artrun_boot.c */
void art__run_boot_readable(struct run_job *j, struct run_rank *r);
void art__run_boot_room(struct run_job *j, struct run_rank *r);
void art__run_boot_close(struct run_rank *r);
/* If @r has not sent its card, it never will: tell everyone who waits for it. */
void art__run_boot_gone(struct run_job *j, struct run_rank *r);

/* artrun_job.c */
int art__run_index(const struct run_job *j, const struct run_rank *r);
void art__run_child_died(struct run_job *j, struct run_rank *r);
void art__run_member_died(struct run_job *j, struct run_rank *r);
void art__run_watch_leftovers(struct run_job *j);
int art__run_exit_code(struct run_job *j);

/* artrun_kill.c */
void art__run_signals_open(struct run_job *j);
void art__run_signals_read(struct run_job *j);
void art__run_signal_rank(const struct run_rank *r, int sig);
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
void art__run_feed_readable(struct run_job *j);
void art__run_feed_room(struct run_job *j);
/* Are we in the terminal's foreground now? Then read from it. */
void art__run_feed_resume(struct run_job *j);
void art__run_feed_close(struct run_job *j);

#endif
