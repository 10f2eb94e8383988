# SPDX-License-Identifier: MIT
"""Draws times over sizes as SVG, one panel for each operation, both axes logarithmic.

The same figures give the same bytes. Colours and greys are such that the picture can be read on a light
and on a dark page; the background is the page's.
"""

from xml.sax.saxutils import escape

COLOURS = {"art": "#d1495b", "openmpi": "#2f8fd0", "mpich": "#d08a1d"}
MARKS = {"art": "circle", "openmpi": "square", "mpich": "diamond"}
PANEL_W, PANEL_H = 250, 210
LEFT, TOP, GAP, BOTTOM = 62, 56, 46, 50

STYLE = """
text { font: 12px sans-serif; fill: #6e7781 }
.title { font-size: 14px; font-weight: bold }
.grid { stroke: #8b949e; stroke-opacity: .3; stroke-width: 1 }
.frame { fill: none; stroke: #8b949e; stroke-width: 1 }
.line { fill: none; stroke-width: 2; stroke-linejoin: round }
@media (prefers-color-scheme: dark) { text { fill: #9ba5b0 } }
"""


def size_text(size_bytes):
    for unit, power in (("Mi", 20), ("Ki", 10)):
        if size_bytes >= 1 << power and size_bytes % (1 << power) == 0:
            return f"{size_bytes >> power} {unit}B"
    return f"{size_bytes} B"


def time_text(us):
    if us >= 1e6:
        return f"{us / 1e6:g} s"
    return f"{us / 1e3:g} ms" if us >= 1e3 else f"{us:g} us"


class Scale:
    """Logarithms to a stretch of pixels."""

    def __init__(self, low, high, base, start, end):
        self.ticks = []
        n = 0
        while base ** n > low:
            n -= 1
        while base ** (n + 1) <= low:
            n += 1
        while True:
            self.ticks.append(base ** n)
            if base ** n >= high:
                break
            n += 1
        if len(self.ticks) == 1:
            self.ticks.append(base ** (n + 1))
        self.base, self.start = self.ticks[0], start
        self.step = (end - start) / self._log(self.ticks[-1])

    def _log(self, value):
        from math import log
        return log(value / self.base)

    def at(self, value):
        return self.start + self.step * self._log(value)


def mark(shape, x, y, colour):
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>'
    if shape == "square":
        return f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6" fill="{colour}"/>'
    return f'<path d="M{x:.1f} {y - 4:.1f}l4 4l-4 4l-4 -4z" fill="{colour}"/>'


def panel(op, lines, left, xs, ys):
    """One operation: @lines is {library: [(bytes, us)]}."""
    bottom, right = TOP + PANEL_H, left + PANEL_W
    out = [f'<text x="{left + PANEL_W / 2:.1f}" y="{TOP - 8}" text-anchor="middle">{escape(op)}</text>']
    for i, tick in enumerate(ys.ticks):
        y = ys.at(tick)
        out.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        if left == LEFT:
            out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{time_text(tick)}</text>')
    for i, tick in enumerate(xs.ticks):
        x = left + xs.at(tick)
        out.append(f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>')
        if i % 2 == 0:
            out.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{size_text(tick)}</text>')
    out.append(f'<rect class="frame" x="{left}" y="{TOP}" width="{PANEL_W}" height="{PANEL_H}"/>')
    for library, points in lines.items():
        colour = COLOURS.get(library, "#8b949e")
        where = [(left + xs.at(b), ys.at(us)) for b, us in points]
        out.append(f'<polyline class="line" stroke="{colour}" points="'
                   + " ".join(f"{x:.1f},{y:.1f}" for x, y in where) + '"/>')
        out += [mark(MARKS.get(library, "circle"), x, y, colour) for x, y in where]
    return out


def legend(libraries, names, x, y):
    out = []
    for library in libraries:
        out.append(mark(MARKS.get(library, "circle"), x, y - 4, COLOURS.get(library, "#8b949e")))
        out.append(f'<text x="{x + 9:.1f}" y="{y}">{escape(names[library])}</text>')
        x += 24 + 7.2 * len(names[library])
    return out


def draw(title, note, panels, names):
    """The SVG text. @panels: {op: {library: [(bytes, us), ...]}}, @names: {library: its name}."""
    points = [p for lines in panels.values() for line in lines.values() for p in line]
    libraries = list(dict.fromkeys(library for lines in panels.values() for library in lines))
    xs = Scale(min(b for b, _ in points), max(b for b, _ in points), 8, 10, PANEL_W - 10)
    ys = Scale(min(us for _, us in points), max(us for _, us in points), 10, TOP + PANEL_H, TOP)
    width = LEFT + len(panels) * (PANEL_W + GAP)
    height = TOP + PANEL_H + BOTTOM
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" role="img">',
           f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>",
           f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>']
    out += legend(libraries, names, width - GAP - sum(24 + 7.2 * len(names[n]) for n in libraries), 20)
    for i, (op, lines) in enumerate(panels.items()):
        out += panel(op, lines, LEFT + i * (PANEL_W + GAP), xs, ys)
    out.append(f'<text x="{LEFT}" y="{height - 10}">{escape(note)}</text>')
    out.append("</svg>\n")
    return "\n".join(out)
