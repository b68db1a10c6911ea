"""Small charts as SVG text: axes, ticks and marks, with links and tooltips that work from ``file://``.

Coordinates are pixels at the drawn size; numbers are rounded to a tenth, so that equal content gives equal bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

INK, MUTED, LINE, PAPER = "#1b2733", "#5d6c7a", "#d5dde4", "#ffffff"
VERDICT_COLOURS = {"pass": "#1a7441", "warn": "#c26a00", "fail": "#b3261e", "n/a": "#5d6c7a"}
ARM_COLOURS = ("#b35806", "#2166ac")
"""Arm a and arm b: told apart by all common kinds of colour vision."""
FONT = 11


def tag(name: str, *children: str, **attributes: Any) -> Markup:  # noqa: ANN401  attributes are numbers or text
    """Write an element; underscores in attribute names become hyphens, numbers are rounded, text is escaped."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inner}</{name}>" if children else f"<{name}{written}/>")  # noqa: S704  escaped above


def _value(value: object) -> str:
    if isinstance(value, float):
        text = f"{value:.1f}"
        return text.removesuffix(".0").replace("-0", "0") if float(text) == 0 else text.removesuffix(".0")
    return str(escape(str(value)))


def text(x: float, y: float, words: str, **attributes: Any) -> Markup:  # noqa: ANN401
    """Write a label."""
    return tag("text", words, **{"x": float(x), "y": float(y), "font_size": FONT, "fill": INK} | attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: Any) -> Markup:  # noqa: ANN401
    """Draw a straight line."""
    return tag(
        "line", **{"x1": float(x1), "y1": float(y1), "x2": float(x2), "y2": float(y2), "stroke": LINE} | attributes
    )


def picture(width: float, height: float, *parts: str, title: str) -> Markup:
    """Wrap parts into an ``<svg>`` that never grows beyond its drawn size."""
    return tag(
        "svg",
        tag("title", title),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=float(width),
        height=float(height),
        class_="chart",
        role="img",
        aria_label=title,
    )


def mark(shape: Markup, *, tip: str, href: str | None = None) -> Markup:
    """Give a mark its tooltip and, where there is one, its link."""
    inner = tag("g", tag("title", tip), shape)
    return tag("a", inner, href=href) if href else inner


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round tick positions between two limits.

    Examples
    --------
    >>> ticks(0.0, 10.0), ticks(0.91, 1.32)
    ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [1.0, 1.1, 1.2, 1.3])
    """
    raw = (high - low) / max(count, 1)
    if not (raw > 0 and math.isfinite(raw)):
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round((first + i) * step, 12) for i in range(math.floor(high / step + 1e-9) - first + 1)]


def number(value: float) -> str:
    """Print a tick label."""
    return f"{value:.6g}"


@dataclass(frozen=True)
class Scale:
    """Linear map from data to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def padded(values: list[float], *, share: float = 0.06, zero: bool = False) -> tuple[float, float]:
    """Limits around values with some air; a single value gets a window of its own.

    Examples
    --------
    >>> padded([1.0, 2.0], share=0.1), padded([], share=0.1), padded([5.0])
    ((0.9, 2.1), (0.0, 1.0), (4.5, 5.5))
    """
    known = [v for v in values if math.isfinite(v)] + ([0.0] if zero else [])
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    if high - low < 1e-12 * max(abs(high), 1e-12):
        half = abs(high) * 0.1 or 1.0
        return low - half, high + half
    air = share * (high - low)
    return low - air, high + air


def y_axis(scale: Scale, x1: float, x2: float, label: str = "", *, count: int = 4) -> list[Markup]:
    """Draw horizontal grid lines with labels on the left, and the axis title above them."""
    parts = [line(x1, scale(v), x2, scale(v)) for v in ticks(scale.low, scale.high, count)]
    parts += [
        text(x1 - 6, scale(v) + 4, number(v), text_anchor="end", fill=MUTED)
        for v in ticks(scale.low, scale.high, count)
    ]
    return [*parts, text(4, 12, label, font_weight="600")] if label else parts


def x_axis(scale: Scale, y1: float, y2: float, label: str = "", *, count: int = 6) -> list[Markup]:
    """Draw vertical grid lines with labels below, and the axis title under them."""
    parts = [line(scale(v), y1, scale(v), y2) for v in ticks(scale.low, scale.high, count)]
    parts += [
        text(scale(v), y2 + 15, number(v), text_anchor="middle", fill=MUTED)
        for v in ticks(scale.low, scale.high, count)
    ]
    middle = (scale.start + scale.end) / 2
    return [*parts, text(middle, y2 + 31, label, text_anchor="middle", fill=MUTED)] if label else parts


def spread(index: int, width: float) -> float:
    """Sideways offset of the index-th point: evenly spread and the same in every run (golden ratio sequence)."""
    return ((index * 0.6180339887498949) % 1 - 0.5) * width
