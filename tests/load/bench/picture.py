"""Draws the results of the simulation as SVG, without a drawing library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tests.load.bench.outcome import Estimate

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 320, 280, 52, 46, 58
COLORS = ("#b5bac0", "#5f6368", "#e8a33d", "#1a73e8", "#12b5cb", "#c5221f", "#34a853")
IN_A_ROW = 3
DODGE = 3.0
"""Pixels between policies at the same load, so that their bars do not hide each other."""
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#3c4043}.grid{stroke:#e0e0e0}"
    ".line{fill:none;stroke-width:2}.title{font-weight:600;font-size:13px}"
)

Line = Sequence[Mapping[str, Estimate]]
"""A policy's estimates, one per load."""


@dataclass(frozen=True)
class Panel:
    """One measure over the loads. `low` and `high` bound the vertical axis."""

    measure: str
    title: str
    loads: Sequence[float]
    low: float
    high: float
    unit: str
    step: float

    def x(self, load: float) -> float:
        span = max(self.loads[-1] - self.loads[0], 1e-9)
        return LEFT + 20 + (load - self.loads[0]) / span * (WIDTH - LEFT - 50)

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def axes(self) -> Iterator[str]:
        yield f'<text class="title" x="{LEFT}" y="28">{escape(self.title)}</text>'
        for number in range(round((self.high - self.low) / self.step) + 1):
            value = self.low + number * self.step
            y = self.y(value)
            yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - 10}"/>'
            label = f"{value:g}{self.unit}"
            yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
        for load in self.loads:
            yield (
                f'<text x="{self.x(load):.1f}" y="{HEIGHT - BOTTOM + 18}" '
                f'text-anchor="middle">{load:.2f}</text>'
            )

        yield (
            f'<text x="{(LEFT + WIDTH - 10) / 2}" y="{HEIGHT - BOTTOM + 38}" '
            f'text-anchor="middle">load</text>'
        )

    def line(self, color: str, aside: float, line: Line) -> Iterator[str]:
        points = [
            (self.x(load) + aside, estimates[self.measure])
            for load, estimates in zip(self.loads, line, strict=True)
        ]
        path = "L".join(f"{x:.1f} {self.y(value.mean):.1f}" for x, value in points)
        yield f'<path class="line" stroke="{color}" d="M{path}"/>'
        for x, value in points:
            low, high = value.mean - value.interval, value.mean + value.interval
            yield f'<path stroke="{color}" d="M{x:.1f} {self.y(low):.1f}V{self.y(high):.1f}"/>'
            yield f'<circle cx="{x:.1f}" cy="{self.y(value.mean):.1f}" r="3" fill="{color}"/>'


def draw(lines: Mapping[str, Line], loads: Sequence[float], unicorns: int) -> str:
    """Three panels in a row (picked up in time, served, empty kilometres) with a legend below."""
    panels = (
        Panel("within_5", "picked up within 5 min", loads, 50, 100, " %", 10),
        Panel("served", "served", loads, 75, 100, " %", 5),
        Panel("empty_km", "empty km per ride", loads, 0.2, 1.2, "", 0.2),
    )
    width, height = len(panels) * WIDTH, HEIGHT + 22 * _rows(lines) + 28
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>Dispatch policies on New York demand, {unicorns} unicorns</title>",
        f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate({number * WIDTH} 0)">', *panel.axes()]
        for row, (color, line) in enumerate(zip(COLORS, lines.values(), strict=False)):
            parts += panel.line(color, DODGE * (row - (len(lines) - 1) / 2), line)
        parts.append("</g>")
    parts += _legend(lines, unicorns)
    return "\n".join([*parts, "</svg>", ""])


def _legend(lines: Mapping[str, Line], unicorns: int) -> Iterator[str]:
    for number, (color, name) in enumerate(zip(COLORS, lines, strict=False)):
        x, y = LEFT + number % IN_A_ROW * WIDTH, HEIGHT + 10 + number // IN_A_ROW * 22
        yield f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{color}"/>'
        yield f'<text x="{x + 12}" y="{y}">{escape(name)}</text>'
    yield (
        f'<text x="{LEFT}" y="{HEIGHT + 22 * _rows(lines) + 14}" fill="#5f6368">'
        f"load = arrival rate × mean trip time ÷ {unicorns} unicorns; kilometres are straight "
        "lines; bars: 95 % interval</text>"
    )


def _rows(lines: Mapping[str, Line]) -> int:
    return -(-len(lines) // IN_A_ROW)
