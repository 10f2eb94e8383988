#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Description: what a row of the contract rests on is taken out of a copy of the sources, one piece at a
time, and the test that README names for the row must fail. A test that passes without the code proves
nothing.

    knockouts.py [ROW | NAME]...    those (all: some 20 minutes); ROW is 1 to 8 as in README
    knockouts.py --list             their names
    knockouts.py --check            only whether each piece is still where it was (seconds)

Shortcuts that only a search finds are in sim/mutants. Works on build/normal (./runtests normal:build) and
changes nothing there. Exit status 0: every test has failed as it should.
"""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT_S = 400
JOB_LIMIT_S = 30  # of one job of a process test: without what it needs it may not end, case after case

# name, what is taken out, file, (text that stands there once, text instead), test
KNOCKOUTS = [
    ("1:death", "certified deaths change nothing", "src/core/core.c",
     ("	art__ft_dead(&c->ft, slot, epoch, members);\n	c->early", "	c->early"), "sim/contract"),
    ("1:deadline", "deadlines do not expire", "src/coll/coll.c",
     ("else if (expires(op) && now >= op->deadline_ns)", "else if (0)"), "sim/contract"),
    ("1:line", "no line names the missing", "src/coll/who.c",
     ('art__env_log(m->coll->env, ART_LOG_WARN, "rank%s', 'art__env_log(m->coll->env, ART_LOG_DEBUG, "rank%s'),
     "process/stall"),
    ("1:stopped", "stopped processes are left alone", "src/ft/det_local.c",
     ("if (!at || now < at ||", "if (1 || !at || now < at ||"), "process/stopped"),
    ("1:silent", "silent hosts are left alone", "src/ft/det_judge.c",
     ("		if (!h->condemned_ns)\n			continue;\n		for", "		continue;\n		for"),
     "sim/silence"),
    ("1:edge", "nothing goes round a dead edge", "src/core/relay.c",
     ("	hop = carrier(r, to);\n	if (hop < 0 ||", "	hop = -1;\n	if (hop < 0 ||"), "sim/silence"),
    ("1:round", "views do not say which edges are dead", "src/ft/propose.c",
     ("		v.edges = p->flush.edges;", "		v.edges.n = 0;"), "sim/silence"),
    ("1:tree", "trees keep the edges that are dead", "src/coll/shape.c",
     ("		if (op->comm->torn) {", "		if (0) {"), "sim/silence"),
    ("1:levels", "whom nobody passes a ballot on to is not asked directly", "src/ft/propose.c",
     ("	art__set_or(&p->alone, &to);", "	(void)p;"), "sim/scale"),
    ("1:early", "a death that shared memory shows is not seen", "src/engine/wait.c",
     ("look(e, s) || (e->watches && watch_some(e));", "look(e, s) || (0 && watch_some(e));"), "unit/test_wake"),
    ("1:nudge", "who sleeps over shared memory is sent a message", "src/engine/engine.c",
     ("		if (e->shared.arena.mine &&\n		    art__nudge(", "		if (0 &&\n		    art__nudge("), "unit/test_wake"),
    ("1:asleep", "a caller sleeps without its pipe", "src/engine/wait.c",
     ("e->driver == w ? e->shared.nudges.in : -1,", "-1,"), "unit/test_wake"),
    ("1:outside", "nobody reads the pipe of a rank that computes", "src/engine/service.c",
     ("	if (r->nudge)\n", "	if (0)\n"), "unit/test_wake"),
    ("1:known", "what a rank knows already wakes its service thread", "src/engine/service.c",
     ("	if (art__nudges_take(&e->shared.nudges))\n", "	if (0)\n"), "unit/test_wake"),
    ("2:contributors", "who gets a result from its holder believes that it is everybody's",
     "src/coll/deliver.c",
     ("	art__w_set(&w, s->op->contributors);", "	art__w_set(&w, &c->ft->view.members);"),
     "sim/kill_every_step"),
    ("3:held", "a held operation is run again", "src/ft/resolve.c",
     ("	if (h) {\n		deliver(h, s);\n		return true;\n	}\n	alone =",
      "	(void)h;\n	alone ="), "sim/kill_every_step"),
    ("3:error", "the policy ERROR is not heeded", "src/ft/resolve.c",
     ("	if (e->policy == 1 && any_flag", "	if (0 && any_flag"), "sim/contract"),
    ("3:next", "a loss with nothing open fails nothing", "src/ft/resolve.c",
     ("	if (ok && v->full)\n		ok = fail_next", "	if (0)\n		ok = fail_next"), "sim/contract"),
    ("3:mirror", "what a buddy keeps is not counted", "src/ft/resolve.c",
     ("		s->stand[s->nstand++] = (struct art_stand){ d[i].owner, d[i].from };", "		(void)d;"), "sim/policy"),
    ("4:root", "the loss of a root is not noticed", "src/coll/op.c",
     ("	op->alone = true;\n	art__op_fail(op, ART_ERR_ROOT_LOST,", "	if (0)\n		art__op_fail(op, ART_ERR_ROOT_LOST,"),
     "sim/kill_every_step"),
    ("5:successor", "a lost root has no successor", "src/coll/coll.c",
     ("	if (f & ART_F_SUCCESSOR && kind == ART_C_REDUCE) {", "	if (0) {"), "sim/policy"),
    ("5:uniform", "a uniform call returns at once", "src/coll/outcome.c",
     ("	if (op->uniform && too_early(op) &&", "	if (0 &&"), "sim/policy"),
    ("6:shape", "reproducible or not, the network decides", "src/coll/coll.c",
     ("	op->ordered = f & ART_F_REPRODUCIBLE && reduction", "	op->ordered = 0 && reduction"),
     "sim/policy"),
    ("7:quorum", "nobody gives up without a quorum", "src/ft/change.c",
     ("	if (ft->stuck_ns && now - ft->stuck_ns >= ft->quorum_wait_ns) {", "	if (0) {"), "sim/silence"),
    ("7:views", "nobody notes the view in which it acts", "src/core/core.c",
     ("	if (c->port->view)\n", "	if (0)\n"), "sim/contract"),
    ("7:arbiter", "the arbiter's vote does not count", "src/ft/vote.c",
     ("	return ft->client.vote && !ft", "	return 0 && !ft"), "sim/contract"),
    ("7:evicted", "an evicted rank is not told", "src/ft/change.c",
     ("	if (ft->fate)\n		return;\n	ft->fate = code;", "	if (ft->fate || code == ART_ERR_EVICTED)\n		return;\n	ft->fate = code;"),
     "process/stopped"),
    ("8:type", "the type of a call is not checked", "src/api/collectives.c",
     ("	if (!size)\n		return art__api_refuse(h, ART_ERR_TYPE", "	if (0)\n		return art__api_refuse(h, ART_ERR_TYPE"),
     "process/api"),
    ("8:mismatch", "calls that do not match are not told apart", "src/coll/coll.c",
     ("	if (h->sig != op->sig) {", "	if (0) {"), "sim/contract"),
    ("8:key", "a wrong job key is as good as any", "src/transport/tcp/tcp_hello.c",
     ("	return sodium_memcmp(want, mac, sizeof(want)) == 0;", "	return true;"), "conformance/tcp_hostile"),
    ("8:local key", "and in shared memory", "src/transport/shm/shm_hello.c",
     ("	return sodium_memcmp(want, mac, sizeof(want)) == 0;", "	return true;"), "conformance/shm_hostile"),
    ("8:length", "lengths in a message are believed", "src/wire/wire.c",
     ("	if (b->bad || n > b->len - b->at) {", "	if (b->bad) {"), "unit/test_wire"),
]


def misplaced():
    """The knock-outs whose piece does not stand there exactly once."""
    wrong = []
    for name, _, path, (old, _), test in KNOCKOUTS:
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            n = f.read().count(old)
        if n != 1:
            wrong.append(f"{name}: {path}: its piece stands there {n} times, not once")
        if not any(os.path.exists(os.path.join(ROOT, "tests", test + end)) for end in (".c", ".sh")):
            wrong.append(f"{name}: there is no test {test}")
    return wrong


def make(tree, log, *targets):
    return subprocess.run(["make", "-s", "-j%d" % (os.cpu_count() or 1), "CFLAGS=-O1 -g -Wno-error"] + list(targets),
                          cwd=tree + "/build/normal", stdout=log, stderr=log, check=False).returncode == 0


def run_test(tree, log, test):
    """The exit status of the test in the copy; None: it did not end."""
    build = tree + "/build/normal"
    script = f"{tree}/tests/{test}.sh"
    command = ["bash", script] if os.path.exists(script) else ["./tests/" + test]
    env = dict(os.environ, ART_SRCDIR=tree, ART_BUILDDIR=build, ART_BUILD="normal", ART_CONFIG="",
               CAMPAIGN_SEEDS="4000", CAMPAIGN_JOBS="15", JOB_LIMIT_S=str(JOB_LIMIT_S))
    try:
        return subprocess.run(["timeout", "-k", "5", str(LIMIT_S)] + command, cwd=build, env=env, stdout=log,
                              stderr=log, stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as e:
        log.write(str(e).encode())
        return 0


def build_for(tree, log, test):
    if not make(tree, log, "all"):
        return False
    if os.path.exists(f"{tree}/tests/{test}.sh"):
        return make(tree, log, "check", "TESTS=")
    return make(tree, log, "tests/" + test)


def knock_out(tree, knockout, log):
    """Says in a word or two what became of it, and whether that is as it should be."""
    _, _, path, (old, new), test = knockout
    path = os.path.join(tree, path)
    with open(path, encoding="utf-8") as f:
        whole = f.read()
    try:
        with open(path, "w", encoding="utf-8") as f:
            f.write(whole.replace(old, new))
        if not build_for(tree, log, test):
            return False, "does not build"
        status = run_test(tree, log, test)
    finally:
        with open(path, "w", encoding="utf-8") as f:
            f.write(whole)
    if status == 77:
        return False, f"{test} was skipped"
    if status == 0:
        return False, f"{test} PASSES without it"
    return True, f"{test} " + ("does not end" if status == 124 else "fails")


def copy_tree(to):
    os.makedirs(to + "/build")
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.split("\n")
    for name in filter(None, names + ["configure", "Makefile.in", "aclocal.m4"]):
        os.makedirs(os.path.dirname(os.path.join(to, name)), exist_ok=True)
        shutil.copy2(os.path.join(ROOT, name), os.path.join(to, name))
    shutil.copytree(ROOT + "/build-aux", to + "/build-aux", symlinks=True, dirs_exist_ok=True)
    shutil.copytree(ROOT + "/build/normal", to + "/build/normal", symlinks=True)


def main(wanted):
    wrong = misplaced()
    print("\n".join(wrong), end="\n" if wrong else "")
    if wrong or wanted == ["--check"]:
        return 1 if wrong else 0
    chosen = [k for k in KNOCKOUTS if not wanted or k[0] in wanted or k[0].split(":")[0] in wanted]
    if wanted == ["--list"] or not chosen:
        print("\n".join(f"{k[0]:16} {k[1]}; {k[4]}" for k in KNOCKOUTS))
        return 0 if wanted == ["--list"] else 2
    if not os.path.exists(ROOT + "/build/normal/config.status"):
        print("knockouts.py: build/normal is not there: ./runtests normal:build", file=sys.stderr)
        return 2
    failed = 0
    with tempfile.TemporaryDirectory() as tmp:
        copy_tree(tmp + "/tree")
        for number, k in enumerate(chosen, 1):
            with open(f"{tmp}/log", "wb+") as log:
                right, what = knock_out(tmp + "/tree", k, log)
                print(f"{'ok' if right else 'FAIL':4} {number}/{len(chosen)} {k[0]}: {k[1]}: {what}", flush=True)
                if not right:
                    failed += 1
                    log.seek(0)
                    sys.stdout.write(log.read().decode(errors="replace")[-2000:])
    print(f"{len(chosen) - failed} of {len(chosen)} are noticed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
