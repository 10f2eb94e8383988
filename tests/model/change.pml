/* SPDX-License-Identifier: MIT
 *
 * One collective across view changes: what rules R1-R3 of ARCHITECTURE.md demand, and nothing
 * else. tests/model/check.sh checks it with spin at the sizes that fit, and that each shortcut
 * (-DMUTANT=n, numbered as in tests/sim/mutants.c) is caught.
 *
 *   N        ranks, 2..5              OP       ALLREDUCE, REDUCE, BCAST (root 0), NOTHING
 *   CHANGES  view changes, 1..2       BALLOTS  ballots over all of them
 *   CRASHES  ranks that may die       FALSE    which live ranks may be suspected: 0 none, 1 any,
 *                                              2 exactly those across a partition
 *   LATE     1: ranks enter the op when they like; 0: all have entered
 *
 * The network is what has been said: messages are facts that stay, and whoever may read one reads
 * it at any time, or never. That covers delay, reordering, repetition and loss. A rank that died
 * has said what it had said.
 *
 * Modelled: death, false suspicion of anybody by anybody, certificates of death that reach each
 * rank at a time of its own, ballots of duelling proposers, freeze and flush, adoption, DELIVER as
 * a pull, RERUN from the inputs, FAIL; early return of a bcast's root and a reduce's leaves;
 * forgetting what is stable. The tree is a chain (the root, then by rank): of all trees it has most
 * ranks that pass on what others gave, so it needs the fewest ranks to show a fault.
 * Not modelled: joins, segments, several ops at once, named decisions (R3) other than as a change
 * with the same members, GONE, time. Safety only: that all of it ends is the simulator's to show.
 */
#define NOTHING 0
#define ALLREDUCE 1
#define REDUCE 2
#define BCAST 3

#ifndef MUTANT
#define MUTANT 0
#endif
#define EPOCHS (CHANGES + 1)
#define ALL ((1 << N) - 1)
#define NOBODY 7

/* ---- sets of ranks are bits of a byte ---- */
#define bit(i) (1 << (i))
#define in(i, s) (((s) >> (i)) & 1)
#define size(s) (((s) & 1) + ((s) >> 1 & 1) + ((s) >> 2 & 1) + ((s) >> 3 & 1) + ((s) >> 4 & 1))
#define all_in(s, t) (((s) & ~(t)) == 0)

/* ---- who may make the view after @v: a majority of it, or all of it that is not certified dead */
#define majority(q, v) (2 * size((q) & (v)) > size(v))
#if MUTANT == 6
#define quorum(q, v, d) (true)
#elif MUTANT == 9
#define quorum(q, v, d) (majority((q) | (d), v) || all_in((v) & ~(d), q))
#elif MUTANT == 10
#define quorum(q, v, d) (2 * size((q) & (v)) > size((v) & ~(d)) || all_in((v) & ~(d), q))
#else
#define quorum(q, v, d) (majority(q, v) || all_in((v) & ~(d), q))
#endif
#if MUTANT == 1
#define flushed(b) (majority(ballot[b].promised, ballot[b].members))
#else
#define flushed(b) (all_in(ballot[b].members, ballot[b].promised))
#endif

/* ---- resolutions, outcomes ---- */
#define NONE 0     /* stable: nothing to do */
#define RERUN 1
#define FAIL 2
#define DELIVER 8  /* + the holder */
#define PAYLOAD 64 /* what a bcast brings; a reduction's result is the set of whose parts are in it */
#define FAILED 128

/* ---- what has been said about the next view ----
 *   PREPARE owner, epoch, members, dead  ->  PROMISE each; best, holders, stable are theirs, merged
 *   ACCEPT value, resolution             ->  ACCEPTED each  ->  DECIDED
 * A value is named by the ballot that first proposed it, and is that ballot's members and
 * resolution. Ballot 0 is none. */
typedef proposal {
	byte owner, epoch, members, dead;
	byte promised, best, holders, stable;
	byte value, resolution, accepted;
	bool prepared, decided
};
proposal ballot[BALLOTS + 1];

/* ---- what has been said about the op, by epoch and rank: the sum of a rank and those behind it in
 * the chain; its result, passed on ---- */
byte up[EPOCHS * N];
byte down[EPOCHS * N];
#define said(e, i) ((e) * N + (i))

/* ---- ranks ---- */
byte alive = ALL, evicted, crashes;
byte epoch[N], view[N];
byte promised[N], accepted[N]; /* ballots, of the present epoch; promised: frozen */
byte known[N];                 /* whose death is certified to it */
byte installed[EPOCHS * N];    /* the value each rank installed to come into the epoch */
byte entered, returned, input, holds, forgotten;
byte outcome[N];
byte sum[N];                   /* of this epoch so far */
byte merged;                   /* the one behind it in the chain */
byte waits_for[N];             /* a DELIVER's holder, or NOBODY */
byte newest;                   /* epoch */
byte newest_view = ALL;

/* Scratch within a step. */
hidden byte a, c, h, x;
hidden byte v, r; /* a value and its resolution */

#define frozen(i) (promised[i] != 0)
#if MUTANT == 3
#define running(i) (in(i, alive) && !in(i, evicted))
#else
#define running(i) (in(i, alive) && !in(i, evicted) && !frozen(i))
#endif
#define computes(i) (running(i) && in(i, entered) && !in(i, holds) && waits_for[i] == NOBODY)

/* The chain: who is before and behind @i among @v. */
inline before(i, v, out) {
	out = i;
	do
	:: out > 0 -> out--; if :: in(out, v) -> break :: else fi
	:: else -> out = NOBODY; break
	od
}
inline behind(i, v, out) {
	out = i + 1;
	do
	:: out < N && !in(out, v) -> out++
	:: out < N && in(out, v) -> break
	:: out >= N -> out = NOBODY; break
	od
}

/* Invariants 2, 3 and 6: whoever lives in the newest view and holds, holds the same; two live ranks
 * came into an epoch with the same value. */
inline check_agreement() {
	a = 0;
	do
	:: a < N ->
		c = 0;
		do
		:: c < a ->
			assert(!(in(a, alive & newest_view & holds) && in(c, alive & newest_view & holds))
			       || outcome[a] == outcome[c]);
			c++
		:: else -> break
		od;
		a++
	:: else -> break
	od;
	a = 0
}

inline hold(i, what) {
	holds = holds | bit(i);
	outcome[i] = what;
	waits_for[i] = NOBODY;
	check_agreement()
}

/* ---- coming into a new view: value v, with the op resolved as r ---- */
inline install(i) {
	/* Invariant 2: one decision per epoch among the living. */
	a = 0;
	do
	:: a < N ->
		assert(!(in(a, alive) && epoch[a] > epoch[i]) ||
		       installed[said(epoch[i], a)] == v);
		a++
	:: else -> break
	od;
	installed[said(epoch[i], i)] = v;
	epoch[i]++;
	promised[i] = 0;
	accepted[i] = 0;
	view[i] = ballot[v].members;
	if
	:: epoch[i] > newest -> newest = epoch[i]; newest_view = view[i]
	:: else
	fi;
	if
	:: !in(i, view[i]) -> evicted = evicted | bit(i)
	:: else -> resolve(i)
	fi
}

inline resolve(i) {
	waits_for[i] = NOBODY;
	if
	:: r == NONE
	:: r >= DELIVER && !in(i, holds) -> waits_for[i] = r - DELIVER
	:: r >= DELIVER && in(i, holds)
	:: r == FAIL -> assert(!in(i, holds)); hold(i, FAILED)
	:: r == RERUN ->
		assert(!in(i, holds));                           /* invariant 5 */
		assert(!in(i, entered) || in(i, input));         /* rule R2 */
		merged = merged & ~bit(i);
#if MUTANT != 8
		sum[i] = 0
#endif
	fi
}

/* ---- rules R1: what the op's unheld end is, from what the flush of @b said ---- */
inline decide_op(b) {
	h = ballot[b].holders & ballot[b].members;
	if
	:: ballot[b].stable & ballot[b].members -> r = NONE
	:: else ->
		if
		:: h ->
			a = 0;
			do
			:: in(a, h) -> break
			:: else -> a++
			od;
			r = DELIVER + a
		:: !h && OP != ALLREDUCE && !in(0, ballot[b].members) -> r = FAIL
		:: else -> r = RERUN
		fi
	fi
}

/* ---- steps of the op ---- */
inline enter(i) {
	entered = entered | bit(i);
	input = input | bit(i);
	if
	:: OP == BCAST && i == 0 && !in(0, holds) -> returned = returned | 1; hold(0, PAYLOAD)
	:: else
	fi
}

inline merge(i, s) {
	assert((sum[i] & (s)) == 0); /* invariant 4: nobody's part twice */
	sum[i] = sum[i] | (s) | bit(i);
	merged = merged | bit(i)
}

/* A reduce is done for good when its root holds. */
#define stable(i) (OP == REDUCE && in(0, view[i]) -> in(0, holds) : all_in(view[i], holds))

/* ---- steps of a view change ---- */
/* Some ballot that @cond is true of, or 0. */
inline pick(b, cond) {
	b = 1;
	do
	:: b <= BALLOTS && (cond) -> break
	:: b <= BALLOTS -> b++
	:: b > BALLOTS -> b = 0; break
	od
}

/* A partition that never heals: the lower ranks, one more than half of them if N is odd, and the
 * others. */
#define same_side(i, w) (((i) < (N + 1) / 2) == ((w) < (N + 1) / 2))

/* Whose certificates have come, and who is left out of the next view without one, is anybody's
 * guess. Both are fixed now. */
inline prepare(i) {
	pick(b, !ballot[b].prepared && b > promised[i]);
	if
	:: b ->
		ballot[b].prepared = true;
		ballot[b].owner = i;
		ballot[b].epoch = epoch[i];
		ballot[b].members = bit(i);
		ballot[b].dead = known[i];
		w = 0;
		do
		:: w < N && in(w, view[i]) && w != i && !in(w, ballot[b].dead) ->
			if
			:: FALSE != 2 || same_side(i, w) -> ballot[b].members = ballot[b].members | bit(w)
			:: !in(w, alive) -> ballot[b].dead = ballot[b].dead | bit(w)
			:: FALSE == 1 || (FALSE == 2 && !same_side(i, w)) || (!FALSE && !in(w, alive))
			fi;
			w++
		:: w < N && !(in(w, view[i]) && w != i && !in(w, ballot[b].dead)) -> w++
		:: w >= N -> break
		od;
		known[i] = ballot[b].dead
	:: else
	fi;
	b = 0;
	w = 0
}

inline promise(i, b) {
	promised[i] = b;
	known[i] = known[i] | ballot[b].dead;
	ballot[b].promised = ballot[b].promised | bit(i);
	ballot[b].holders = ballot[b].holders | (holds & bit(i));
	ballot[b].stable = ballot[b].stable | (forgotten & bit(i));
	if
	:: accepted[i] > ballot[b].best -> ballot[b].best = accepted[i]
	:: else
	fi
}

/* Adopts what may have been chosen already, with its resolution. */
inline propose(i, b) {
#if MUTANT == 5
	ballot[b].value = b;
#else
	ballot[b].value = (ballot[b].best -> ballot[ballot[b].best].value : b);
#endif
	if
	:: ballot[b].value == b || MUTANT == 2 -> decide_op(b)
	:: else -> r = ballot[ballot[b].value].resolution
	fi;
	ballot[b].resolution = r;
	accept(i, b)
}

inline accept(i, b) {
	promised[i] = b;
	accepted[i] = b;
	ballot[b].accepted = ballot[b].accepted | bit(i)
}

/* A rank certified dead to @i says nothing to it any more. */
#define heard(i, x) (!in(x, known[i]))

proctype rank(byte me) {
	byte b, w; /* a ballot, a rank; 0 between two steps */

end:	do
	/* ---- the op ---- */
	:: d_step { OP != NOTHING && in(me, alive) && !in(me, evicted) && !in(me, entered) -> enter(me) }
	/* The sum of those behind has come (an old epoch's has no effect). */
	:: d_step { computes(me) && OP != BCAST && !in(me, merged) ->
		behind(me, view[me], x);
		if
		:: x == NOBODY -> merge(me, 0)
		:: x != NOBODY && up[said(epoch[me], x)] -> merge(me, up[said(epoch[me], x)])
#if MUTANT == 4
		:: x != NOBODY && !up[said(epoch[me], x)] && epoch[me] && up[said(epoch[me] - 1, x)] ->
			merge(me, up[said(epoch[me] - 1, x)])
#endif
		:: else
		fi
	   }
	:: d_step { computes(me) && OP != BCAST && in(me, merged) && up[said(epoch[me], me)] == 0 ->
		before(me, view[me], x);
		if
		:: x == NOBODY ->
			assert(sum[me] == view[me]); /* everyone's part, once, of one epoch */
			hold(me, sum[me])
		:: else -> up[said(epoch[me], me)] = sum[me]
		fi;
		/* A leaf of a reduce has done its part. */
		if
		:: OP == REDUCE -> returned = returned | bit(me)
		:: else
		fi
	   }
	/* What it holds is passed on, and taken. */
	:: d_step { running(me) && OP != REDUCE && in(me, holds) && outcome[me] != FAILED &&
		    down[said(epoch[me], me)] == 0 -> down[said(epoch[me], me)] = outcome[me] }
	:: d_step { computes(me) && OP != REDUCE ->
		before(me, view[me], x);
		if
		:: x != NOBODY && down[said(epoch[me], x)] -> hold(me, down[said(epoch[me], x)])
		:: else
		fi
	   }
	:: d_step { running(me) && waits_for[me] != NOBODY && in(waits_for[me], alive & holds) &&
		    epoch[waits_for[me]] >= epoch[me] -> hold(me, outcome[waits_for[me]]) }
	/* Everyone of the view is known to be done: input and result may go (rule R2). */
	:: d_step { running(me) && in(me, holds | returned) && !in(me, forgotten) &&
		    stable(me) -> forgotten = forgotten | bit(me); input = input & ~bit(me) }

	/* ---- deaths, and who knows of them ---- */
	:: d_step { in(me, alive) && crashes < CRASHES ->
		alive = alive & ~bit(me); crashes++ }

	/* ---- a view change ---- */
	:: atomic { in(me, alive) && !in(me, evicted) && epoch[me] < CHANGES -> prepare(me) }
	:: atomic { in(me, alive) && !in(me, evicted) && epoch[me] < CHANGES ->
		pick(b, ballot[b].prepared && ballot[b].epoch == epoch[me] &&
		     in(me, ballot[b].members) && promised[me] < b && heard(me, ballot[b].owner));
		d_step { if :: b -> promise(me, b) :: else fi; b = 0 } }
	:: atomic { in(me, alive) && !in(me, evicted) && epoch[me] < CHANGES ->
		pick(b, ballot[b].prepared && ballot[b].owner == me && promised[me] == b &&
		     ballot[b].epoch == epoch[me] && !ballot[b].value && flushed(b) &&
		     quorum(ballot[b].promised, view[me], ballot[b].dead));
		d_step { if :: b -> propose(me, b) :: else fi; b = 0 } }
	:: atomic { in(me, alive) && !in(me, evicted) && epoch[me] < CHANGES ->
		pick(b, ballot[b].value && ballot[b].epoch == epoch[me] && promised[me] <= b &&
		     in(me, ballot[b].members) && !in(me, ballot[b].accepted) &&
		     in(ballot[b].owner, ballot[b].accepted) && heard(me, ballot[b].owner));
		d_step { if :: b -> accept(me, b) :: else fi; b = 0 } }
	:: atomic { in(me, alive) && !in(me, evicted) && epoch[me] < CHANGES ->
		pick(b, ballot[b].value && ballot[b].owner == me && ballot[b].epoch == epoch[me] &&
		     promised[me] == b && !ballot[b].decided &&
		     quorum(ballot[b].accepted, view[me], ballot[b].dead));
		d_step { if :: b -> ballot[b].decided = true; v = ballot[b].value; r = ballot[b].resolution; install(me)
		         :: else fi; b = 0 } }
	/* DECIDED, from its proposer. */
	:: atomic { in(me, alive) && !in(me, evicted) && epoch[me] < CHANGES ->
		pick(b, ballot[b].decided && ballot[b].epoch == epoch[me] &&
		     heard(me, ballot[b].owner));
		d_step { if :: b -> v = ballot[b].value; r = ballot[b].resolution; install(me) :: else fi; b = 0 } }
	/* Or from whoever has it. */
	:: d_step { in(me, alive) && !in(me, evicted) && epoch[me] < CHANGES ->
		x = 0;
		do
		:: x < N && epoch[x] > epoch[me] && heard(me, x) -> break
		:: x < N && !(epoch[x] > epoch[me] && heard(me, x)) -> x++
		:: x >= N -> break
		od;
		if
		:: x < N -> v = installed[said(epoch[me], x)]; r = ballot[v].resolution; install(me)
		:: else
		fi
	   }
	od
}

init {
	byte i;

	d_step {
		do
		:: i < N ->
			view[i] = ALL;
			waits_for[i] = NOBODY;
			if
			:: !LATE && OP != NOTHING -> enter(i)
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	}
	atomic {
		do
		:: i < N -> run rank(i); i++
		:: else -> break
		od;
		i = 0
	}
}
