# SPDX-License-Identifier: MIT
"""What the times say: medians, ratios, targets; as text, as JSON and as the table in README.md."""

from statistics import median

from comparison.plot import size_text

OPS = ["bcast", "reduce", "allreduce", "barrier"]
PLACES = [("shm", 2), ("shm", 8), ("tcp", 2), ("tcp", 8)]
WORDS = {"shm": "shared memory", "tcp": "TCP loopback"}

# Ratios art / best peer: bound of the median, over sizes from here on, and of every single one.
TARGETS = {
    ("shm", 2): (0.6, 0, 0.95),
    ("shm", 8): (0.4, 0, 0.9),
    ("tcp", 2): (0.85, 4096, 1.0),
    ("tcp", 8): (0.5, 0, None),
}


def worst_bound(place, op, size):
    """A bare process_vm_readv is as fast as the best peer's bcast there."""
    if place == ("shm", 2) and op == "bcast" and 65536 <= size <= 1 << 20:
        return 1.05
    return TARGETS[place][2] if place in TARGETS else None


def common(one, other):
    """Medians of both over the rounds that both have, or None: rounds see different loads."""
    pairs = [(x, y) for x, y in zip(one, other) if x is not None and y is not None]
    return (median(x for x, _ in pairs), median(y for _, y in pairs)) if pairs else None


def rows_of(samples):
    """One dictionary for each place, operation and size; @samples: {(place, op, bytes): {lib: [us or None
    for each round]}}. The best peer is the one against which ART does worst, over their common rounds."""
    rows = []
    for (place, op, size), libs in sorted(
            samples.items(), key=lambda item: (item[0][0], OPS.index(item[0][1]), item[0][2])):
        us = {lib: median(t for t in values if t is not None) for lib, values in libs.items()}
        pairs = {lib: pair for lib, values in libs.items() if lib != "art" and "art" in libs
                 and (pair := common(libs["art"], values))}
        best = max(pairs, key=lambda lib: pairs[lib][0] / pairs[lib][1]) if pairs else None
        rows.append({"transport": place[0], "ranks": place[1], "op": op, "bytes": size, "us": us,
                     "best_peer": best, "rounds_us": libs, "pair_us": pairs.get(best),
                     "ratio": pairs[best][0] / pairs[best][1] if best else None})
    return rows


def at(rows, place):
    return [r for r in rows if (r["transport"], r["ranks"]) == place]


def places_of(rows):
    return list(dict.fromkeys((r["transport"], r["ranks"]) for r in rows))


def text(us):
    return f"{us:.2f}" if us < 1000 else f"{us:.0f}"


def print_table(rows, libraries):
    for place in places_of(rows):
        print(f"\n# {place[1]} ranks, {WORDS[place[0]]}; us, medians of the slowest rank")
        print(f"#{'operation':<10}{'bytes':>10}" + "".join(f"{n:>12}" for n in libraries)
              + f"{'art/best':>10}")
        for r in at(rows, place):
            times = "".join(f"{text(r['us'][n]) if n in r['us'] else '-':>12}" for n in libraries)
            print(f" {r['op']:<10}{r['bytes'] or '-':>10}{times}"
                  + (f"{r['ratio']:>10.2f}" if r["ratio"] else f"{'-':>10}"))


def summaries(rows):
    """For each place with peers: the median ratio, the worst one, and whether the targets are met."""
    out = []
    for place in places_of(rows):
        mine = [r for r in at(rows, place) if r["ratio"]]
        bound, least, _ = TARGETS.get(place, (None, 0, None))
        counted = [r["ratio"] for r in mine if r["bytes"] >= least]
        if not mine:
            continue
        worst = max(mine, key=lambda r: r["ratio"])
        over = [r for r in mine if (b := worst_bound(place, r["op"], r["bytes"])) and r["ratio"] > b]
        middle = median(counted) if counted else None
        out.append({
            "transport": place[0], "ranks": place[1], "median_ratio": middle, "median_from_bytes": least,
            "median_target": bound, "median_met": bound is None or middle is None or middle <= bound,
            "worst_ratio": worst["ratio"], "worst_op": worst["op"], "worst_bytes": worst["bytes"],
            "worst_target": TARGETS.get(place, (None, 0, None))[2], "over": len(over), "of": len(mine),
            "worst_met": not over})
    return out


def print_summaries(sums):
    for s in sums:
        verdict = {True: "met", False: "missed"}
        print(f"{s['ranks']} ranks, {WORDS[s['transport']]}: ", end="")
        if s["median_ratio"] is not None:
            since = f" from {size_text(s['median_from_bytes'])}" if s["median_from_bytes"] else ""
            print(f"median ratio{since} {s['median_ratio']:.2f}", end="")
            if s["median_target"]:
                print(f" (target {s['median_target']}: {verdict[s['median_met']]})", end="")
            print(", ", end="")
        where = s["worst_op"] + (f" {size_text(s['worst_bytes'])}" if s["worst_bytes"] else "")
        print(f"worst {s['worst_ratio']:.2f}, {where}", end="")
        if s["worst_target"]:
            print(f" (target {s['worst_target']}: {verdict[s['worst_met']]}", end="")
            print(f", {s['over']} of {s['of']} above theirs)" if s["over"] else ")", end="")
        print()


# ---- README.md ----

BEGIN, END = "<!-- compare: begin -->", "<!-- compare: end -->"


def cell(row, names):
    if row is None or "art" not in row["us"]:
        return "-"
    if not row["ratio"]:
        return f"{text(row['us']['art'])} us"
    return (f"**{row['ratio']:.2f}** ({text(row['pair_us'][0])} / {text(row['pair_us'][1])} "
            f"{names[row['best_peer']]})")


def markdown(rows, sums, names, libraries, machine, command, plots):
    """What stands between the markers: figures of one run, with the command that repeats it."""
    places = places_of(rows)
    known = {(r["transport"], r["ranks"], r["op"], r["bytes"]): r for r in rows}
    lines = [f"One run of `{command}` on {machine}: {', '.join(libraries)}. Each cell is **ART / best peer** "
             "(ART's and that peer's time in us); below 1, ART is faster.", "",
             "| | bytes | " + " | ".join(f"{n} ranks, {WORDS[t]}" for t, n in places) + " |",
             "|---|---" + "|---" * len(places) + "|"]
    shown = (8, 4096, 65536, 1 << 20, 16 << 20)
    for op in OPS:
        sizes = sorted({r["bytes"] for r in rows if r["op"] == op})
        for size in [s for s in sizes if s in shown or s == 0] or sizes:
            lines.append(f"| {op} | {size_text(size) if size else ''} | " + " | ".join(
                cell(known.get((t, n, op, size)), names) for t, n in places) + " |")
    for label, key, digits in (("median of all sizes", "median_ratio", 2), ("worst", "worst_ratio", 2)):
        found = {(s["transport"], s["ranks"]): s[key] for s in sums}
        lines.append(f"| {label} | | " + " | ".join(
            f"{found[p]:.{digits}f}" if found.get(p) else "-" for p in places) + " |")
    lines.append("")
    lines += [f"![{title}]({path})" for title, path in plots]
    return "\n".join(lines)


def put_into(readme, body):
    """Replaces what is between the markers; False if they are not there."""
    whole = readme.read_text()
    if BEGIN not in whole or END not in whole:
        return False
    head, rest = whole.split(BEGIN, 1)
    readme.write_text(f"{head}{BEGIN}\n{body}\n{END}{rest.split(END, 1)[1]}")
    return True


# ---- the price of the fault layer ----

def cost_rows(samples):
    """ART with its fault layer (art) against ART_FT=off, which ran before and after it (off, off2). Every
    round is a pair of its own: the cost is the median of on - (off + off2) / 2, the spread that of
    |off - off2|."""
    rows = []
    for (place, op, size), libs in sorted(
            samples.items(), key=lambda item: (item[0][0], OPS.index(item[0][1]), item[0][2])):
        rounds = [r for r in zip(libs.get("art", []), libs.get("off", []), libs.get("off2", []))
                  if None not in r]
        if not rounds:
            continue
        off = median((b + c) / 2 for _, b, c in rounds)
        cost = median(a - (b + c) / 2 for a, b, c in rounds)
        spread = median(abs(b - c) for _, b, c in rounds)
        allowed = 0.05 * off if place[0] == "tcp" else max(0.02 * off, 0.02)
        rows.append({"transport": place[0], "ranks": place[1], "op": op, "bytes": size, "on_us": off + cost,
                     "off_us": off, "cost_us": cost, "spread_us": spread, "allowed_us": allowed,
                     "met": cost <= allowed + spread})
    return rows


def print_cost(rows):
    for place in places_of(rows):
        mine = at(rows, place)
        print(f"\n# {place[1]} ranks, {WORDS[place[0]]}; us. cost: with the fault layer less ART_FT=off; "
              "spread: off against off\n"
              f"#{'operation':<10}{'bytes':>10}{'off':>12}{'cost':>10}{'cost %':>8}{'spread':>10}"
              f"{'allowed':>10}")
        for r in mine:
            print(f" {r['op']:<10}{r['bytes'] or '-':>10}{text(r['off_us']):>12}{r['cost_us']:>10.3f}"
                  f"{100 * r['cost_us'] / r['off_us']:>8.1f}{r['spread_us']:>10.3f}{r['allowed_us']:>10.3f}"
                  f"{'' if r['met'] else '  missed'}")
        missed = sum(not r["met"] for r in mine)
        print(f"{place[1]} ranks, {WORDS[place[0]]}: median cost "
              f"{100 * median(r['cost_us'] / r['off_us'] for r in mine):.1f} %, allowed "
              + ("5 %" if place[0] == "tcp" else "2 % or 20 ns")
              + f", beyond the spread: {'met' if not missed else f'missed at {missed} of {len(mine)}'}")
