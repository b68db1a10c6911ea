"""Charts of the group reports: strips, scatter, forest, lines per participant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mrs_pipeline.report.group_svg import (
    ARM_COLOURS,
    INK,
    LINE,
    MUTED,
    PAPER,
    VERDICT_COLOURS,
    Scale,
    line,
    mark,
    number,
    padded,
    picture,
    spread,
    tag,
    text,
    x_axis,
    y_axis,
)


@dataclass(frozen=True)
class Point:
    """A value with what is said about it and where it leads."""

    value: float
    tip: str
    href: str | None = None
    kind: str = "n/a"
    """pass, warn, fail or n/a."""
    x: float = math.nan
    """First coordinate, in scatter plots."""


@dataclass(frozen=True)
class Limit:
    """A limit of a quality rule."""

    value: float
    kind: str
    words: str


def _dot(x: float, y: float, kind: str, *, radius: float = 3.4) -> Markup:
    """Mark a verdict by colour and shape: circle, diamond for warn, square for fail."""
    colour = VERDICT_COLOURS.get(kind, MUTED)
    if kind == "fail":
        return tag(
            "rect", x=x - radius, y=y - radius, width=2 * radius, height=2 * radius, fill=colour, fill_opacity="0.8"
        )
    if kind == "warn":
        far = 1.3 * radius
        corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in ((x, y - far), (x + far, y), (x, y + far), (x - far, y)))
        return tag("polygon", points=corners, fill=colour, fill_opacity="0.8")
    return tag("circle", cx=x, cy=y, r=radius, fill=colour, fill_opacity="0.65")


def strip(
    groups: Sequence[tuple[str, Sequence[Point]]], *, title: str, unit: str, limits: Sequence[Limit] = ()
) -> Markup:
    """Draw one column of points per group, with the median and the limits of the rules.

    Parameters
    ----------
    groups
        Label (a line break where it has a slash) and points.
    title, unit
        What is shown, and its unit.
    limits
        Drawn dashed when they lie near the data.
    """
    width, height, left, top, bottom = max(380.0, 74.0 + 62.0 * len(groups)), 230.0, 52.0, 24.0, 184.0
    values = [point.value for _, points in groups for point in points]
    low, high = padded(values)
    near = [limit for limit in limits if low - 0.6 * (high - low) <= limit.value <= high + 0.6 * (high - low)]
    low, high = padded([*values, *(limit.value for limit in near)])
    y = Scale(low, high, bottom, top)
    step = (width - left - 12) / max(len(groups), 1)
    parts = y_axis(y, left, width - 8, f"{title} ({unit})" if unit else title)
    for limit in near:
        dashed = line(
            left, y(limit.value), width - 8, y(limit.value), stroke=VERDICT_COLOURS[limit.kind], stroke_dasharray="5 3"
        )
        parts.append(mark(dashed, tip=limit.words))
    for index, (label, points) in enumerate(groups):
        centre = left + step * (index + 0.5)
        parts += _column(points, y, centre, 0.62 * step)
        for row, words in enumerate(label.split("/")):
            parts.append(text(centre, bottom + 17 + 14 * row, words, text_anchor="middle", fill=MUTED))
    return picture(width, height, *parts, title=f"{title} by region and visit")


def _column(points: Sequence[Point], y: Scale, centre: float, width: float) -> list[Markup]:
    known = [point for point in points if math.isfinite(point.value)]
    parts = []
    if known:
        ordered = sorted(point.value for point in known)
        middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        parts.append(line(centre - width / 2, y(middle), centre + width / 2, y(middle), stroke=INK, stroke_width=1.5))
    for index, point in enumerate(known):
        parts.append(
            mark(_dot(centre + spread(index, width * 0.8), y(point.value), point.kind), tip=point.tip, href=point.href)
        )
    return parts


def scatter(
    points: Sequence[Point],
    *,
    x_label: str,
    y_label: str,
    x_limits: Sequence[Limit] = (),
    y_limits: Sequence[Limit] = (),
) -> Markup:
    """Draw one point per scan in two metrics, with the rules' limits."""
    width, height, left, top, bottom = 380.0, 230.0, 52.0, 24.0, 184.0
    known = [point for point in points if math.isfinite(point.value) and math.isfinite(point.x)]
    x = Scale(*padded([p.x for p in known]), left, width - 12)
    y = Scale(*padded([p.value for p in known]), bottom, top)
    parts = [*x_axis(x, top, bottom, x_label), *y_axis(y, left, width - 12, y_label)]
    parts += [
        mark(
            line(x(v.value), top, x(v.value), bottom, stroke=VERDICT_COLOURS[v.kind], stroke_dasharray="5 3"),
            tip=v.words,
        )
        for v in x_limits
        if x.low < v.value < x.high
    ]
    parts += [
        mark(
            line(left, y(v.value), width - 12, y(v.value), stroke=VERDICT_COLOURS[v.kind], stroke_dasharray="5 3"),
            tip=v.words,
        )
        for v in y_limits
        if y.low < v.value < y.high
    ]
    parts += [mark(_dot(x(p.x), y(p.value), p.kind, radius=4), tip=p.tip, href=p.href) for p in known]
    return picture(width, height, *parts, title=f"{y_label} against {x_label}")


@dataclass(frozen=True)
class ForestRow:
    """One line of a forest plot; NaN limits draw no interval."""

    label: str
    value: float
    low: float
    high: float
    words: str
    strong: bool = False
    """Primary outcomes are drawn in full colour and bold."""


def forest(rows: Sequence[ForestRow], *, x_label: str, title: str, favours: tuple[str, str]) -> Markup:
    """Draw estimates with their intervals, one line each.

    Parameters
    ----------
    rows
        From top to bottom.
    x_label, title
        Axis and accessible title.
    favours
        What lies left and right of zero.
    """
    pitch, left, plot, words = 20.0, 66.0, 350.0, 186.0
    top, width = 26.0, left + plot + words
    bottom = top + pitch * len(rows)
    limits = [v for row in rows for v in (row.value, row.low, row.high)]
    x = Scale(*padded(limits, zero=True), left, left + plot)
    parts = [*x_axis(x, top, bottom, x_label), line(x(0), top - 4, x(0), bottom, stroke=MUTED, stroke_width=1.4)]
    parts += [
        text(left, 14, f"◄ {favours[0]}", fill=MUTED),
        text(left + plot, 14, f"{favours[1]} ►", fill=MUTED, text_anchor="end"),
    ]
    for index, row in enumerate(rows):
        parts += _forest_row(row, x, top + pitch * (index + 0.5), left, left + plot + 12)
    return picture(width, bottom + 42, *parts, title=title)


def _forest_row(row: ForestRow, x: Scale, y: float, label_x: float, words_x: float) -> list[Markup]:
    colour = "#0b6e75" if row.strong else MUTED
    weight = "700" if row.strong else "400"
    parts = [
        text(label_x - 10, y + 4, row.label, text_anchor="end", font_weight=weight),
        text(words_x, y + 4, row.words, fill=INK if row.strong else MUTED, font_weight=weight),
    ]
    if math.isfinite(row.low):
        parts.append(line(x(row.low), y, x(row.high), y, stroke=colour, stroke_width=2.2 if row.strong else 1.6))
        parts += [line(x(v), y - 4, x(v), y + 4, stroke=colour, stroke_width=1.4) for v in (row.low, row.high)]
    if math.isfinite(row.value):
        size = 4.6 if row.strong else 3.6
        square = tag("rect", x=x(row.value) - size, y=y - size, width=2 * size, height=2 * size, fill=colour)
        parts.append(mark(square, tip=f"{row.label}: {row.words}"))
    return parts


@dataclass(frozen=True)
class Arm:
    """One arm's participants: (participant, value per visit)."""

    name: str
    people: Sequence[tuple[str, Sequence[float]]]


def spaghetti(arms: Sequence[Arm], visits: Sequence[str], *, title: str, unit: str) -> Markup:
    """Draw one panel per arm with a line per participant, and the mean with its 95 % interval on top."""
    panel, left, top, bottom = 162.0, 50.0, 44.0, 214.0
    width, height = left + panel * len(arms) + 8, 252.0
    values = [v for arm in arms for _, line_ in arm.people for v in line_]
    y = Scale(*padded(values), bottom, top)
    parts = y_axis(y, left, width - 8, f"{title} ({unit})")
    for index, arm in enumerate(arms):
        start = left + panel * index
        parts += _panel(arm, visits, y, (start + 34, start + panel - 34), ARM_COLOURS[index % 2])
        complete = sum(all(map(math.isfinite, values_)) for _, values_ in arm.people)
        parts.append(
            text(
                start + panel / 2,
                top - 10,
                f"{arm.name} (n = {complete})",
                text_anchor="middle",
                font_weight="600",
                fill=ARM_COLOURS[index % 2],
            )
        )
        if index:
            parts.append(line(start, top, start, bottom, stroke=LINE, stroke_width=1.5))
    return picture(width, height, *parts, title=f"{title}: every participant by arm")


def _panel(arm: Arm, visits: Sequence[str], y: Scale, ends: tuple[float, float], colour: str) -> list[Markup]:
    gap = (ends[1] - ends[0]) / max(len(visits) - 1, 1)
    xs = [ends[0] + gap * i for i in range(len(visits))]
    parts = [
        text(x, y.start + 18, visit, text_anchor="middle", fill=MUTED) for x, visit in zip(xs, visits, strict=True)
    ]
    for person, values in arm.people:
        points = [(x, y(v)) for x, v in zip(xs, values, strict=True) if math.isfinite(v)]
        tip = f"{person}: " + ", ".join(number(round(v, 3)) if math.isfinite(v) else "n/a" for v in values)
        if len(points) > 1:
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
            parts.append(
                mark(
                    tag("polyline", points=path, fill="none", stroke=colour, stroke_opacity="0.38", stroke_width=1.2),
                    tip=tip,
                )
            )
        parts += [mark(tag("circle", cx=a, cy=b, r=1.9, fill=colour, fill_opacity="0.5"), tip=tip) for a, b in points]
    return parts + _means(arm, xs, y, colour)


def _means(arm: Arm, xs: Sequence[float], y: Scale, colour: str) -> list[Markup]:
    """Draw the mean and its interval at every visit, over participants with all visits."""
    from scipy import stats

    complete = [values for _, values in arm.people if all(map(math.isfinite, values))]
    n = len(complete)
    if n < 2:
        return []
    parts, centres = [], []
    for x, column in zip(xs, zip(*complete, strict=True), strict=True):
        mean = sum(column) / n
        sd = math.sqrt(sum((v - mean) ** 2 for v in column) / (n - 1))
        half = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
        parts.append(line(x, y(mean - half), x, y(mean + half), stroke=INK, stroke_width=2))
        centres.append((x, y(mean)))
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in centres)
    parts.append(tag("polyline", points=path, fill="none", stroke=INK, stroke_width=2.2))
    parts += [tag("circle", cx=a, cy=b, r=4, fill=colour, stroke=INK, stroke_width=1.2) for a, b in centres]
    return parts


def change_scatter(
    arms: Sequence[tuple[str, Sequence[tuple[str, float, float]]]], *, x_label: str, y_label: str
) -> Markup:
    """Draw one point per participant, (name, change of the outcome, change of the metabolite), coloured by arm."""
    width, height, left, top, bottom = 380.0, 290.0, 56.0, 40.0, 242.0
    points = [point for _, people in arms for point in people]
    x = Scale(*padded([p[1] for p in points], zero=True), left, width - 10)
    y = Scale(*padded([p[2] for p in points], zero=True), bottom, top)
    parts = [*x_axis(x, top, bottom, x_label, count=5), *y_axis(y, left, width - 10, y_label)]
    parts += [line(x(0), top, x(0), bottom, stroke=MUTED), line(left, y(0), width - 10, y(0), stroke=MUTED)]
    for index, (name, people) in enumerate(arms):
        colour = ARM_COLOURS[index % 2]
        parts.append(text(left + 110 * index, 30, f"● {name}", fill=colour, font_weight="600"))
        for person, a, b in people:
            circle = tag(
                "circle", cx=x(a), cy=y(b), r=3.8, fill=colour, fill_opacity="0.7", stroke=PAPER, stroke_width=0.6
            )
            parts.append(mark(circle, tip=f"{person}: {a:.3g}, {b:.3g}"))
    return picture(width, height, *parts, title=f"{y_label} against {x_label}")
