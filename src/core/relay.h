/* SPDX-License-Identifier: MIT
 *
 * Two members that live and cannot reach each other: what one has for the other goes through a
 * third, so that nobody is evicted for a bad cable (ARCHITECTURE.md, "A dead edge").
 *
 *   direct --dead edge--> turning --view--> relayed --edge is back--> healed --view--> direct
 *     control   direct     relayed           relayed                   direct           direct
 *     data      direct     dropped           relayed                   relayed          direct
 *
 * (view: a change of the view that touches every op.) What was on the edge when it died is lost, and
 * nobody knows how much: the view change that the caller asks for runs every open op again, and from
 * then on each direction has one path and keeps its order. Each end turns when its own detector says so or
 * the other end says that it is not heard: of a way that is dead in one direction only one end knows.
 * That is said anew each bound, and taken back; not said for long, it is over.
 *
 * The change of the view takes down which hosts do not reach each other, so that ops go round them
 * from then on (coll/shape.c), and what is relayed is what cannot.
 *
 * While no edge is dead, art__relay_port() is the world's port: nothing is in the way.
 */
#ifndef ART_CORE_RELAY_H
#define ART_CORE_RELAY_H

#include "base/edges.h"
#include "base/set.h"
#include "core/ctl.h"
#include "engine/machine.h"

enum art_relay_state { ART_RELAY_DIRECT, ART_RELAY_TURNING, ART_RELAY_RELAYED, ART_RELAY_HEALED };

struct art_relay_peer {
	int via;               /* who carries for us; -1: nobody is left to ask */
	enum art_relay_state state;
	bool deaf;             /* our detector does not hear it */
	uint64_t unheard_ns;   /* when it said last that it does not hear us; 0: no more */
	bool carried;          /* we have carried something to or from it since the last view */
	struct art_set *no;    /* who has said that it does not reach this peer, either; NULL: nobody */
};

struct art_relay {
	const struct art_env *env;
	const struct art_port *world;
	struct art_port out;
	struct art_ctl *ctl;
	const struct art_set *members, *suspect; /* ft's */
	const int *hosts;                        /* [size] or NULL */
	int slot, size;
	uint64_t sent;               /* messages of ops that left here through another rank */
	uint64_t again_ns;           /* when to ask for a view that knows our dead edges; ART_NEVER: it does */
	uint32_t asked;              /* so often */
	uint64_t bound_ns;
	uint64_t patience_ns;        /* after which somebody who says no more that he does not hear us does */
	struct art_relay_peer *peer; /* [size], NULL until it is needed */
	bool lost;                   /* something could not be sent on: a view change must mend it */
	bool promised;               /* a change of the view is under way: */
	struct art_set next;         /* whom it leaves in; others carry nothing, whatever we know of them */
};

/* A message that came for this rank through another. */
struct art_relayed {
	int from;
	enum art_chan chan;
	struct art_hdr h;
	const uint8_t *body; /* h.len bytes, of the envelope */
};

/* All pointers must outlive @r. */
void art__relay_init(struct art_relay *r, const struct art_env *env, const struct art_port *world,
		     struct art_ctl *ctl, int slot, int size, const int *hosts, uint64_t bound_ns);
void art__relay_watch(struct art_relay *r, const struct art_set *members, const struct art_set *suspect);
void art__relay_fini(struct art_relay *r);
size_t art__relay_bytes(const struct art_relay *r);
/* What everybody above speaks to; the pointer stays good. */
const struct art_port *art__relay_port(struct art_relay *r);

/* The detector: @slot lives and the way to it is dead, or is back. The other end is told. True: the
 * view must be changed, because something may have been lost on the way. */
bool art__relay_edge(struct art_relay *r, int slot, bool dead);
/* @slot says that it does not hear us, or does again. True: the view must be changed, as above. */
bool art__relay_unheard(struct art_relay *r, int slot, bool dead);
bool art__relay_indirect(const struct art_relay *r, int slot);
/* A connection to @peer ended. True: with it, perhaps, what somebody carries for somebody. */
bool art__relay_down(const struct art_relay *r, enum art_chan chan, int peer);
/* The promise for a view with these members is about to go out. */
void art__relay_promised(struct art_relay *r, const struct art_set *next);
/* A view was installed that touches every op, and that knows of these dead edges. */
void art__relay_installed(struct art_relay *r, const struct art_edges *known);
/* The hosts of @members that this one does not reach directly, added to @out. */
void art__relay_report(const struct art_relay *r, const struct art_set *members, struct art_edges *out);
/* True: some dead edge has been missing from the view for long, a new one is to take it down. */
bool art__relay_ask(struct art_relay *r, const struct art_edges *known, uint64_t now);

/* An envelope came from @from. True: it is for this rank, in @out. False: it was sent on, or dropped.
 * @to: whose host is to be watched now, because something was carried to it, or -1. */
bool art__relay_take(struct art_relay *r, int from, const uint8_t *body, size_t len,
		     struct art_relayed *out, int *to);
/* @by does not reach @to. */
void art__relay_refused(struct art_relay *r, int by, int to);
/* Something was lost on the way since this was asked last. */
bool art__relay_lost(struct art_relay *r);

#endif
