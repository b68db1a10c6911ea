"""HTML pages as one file: the template environment, inline SVG and an atomic write.

Nothing here, and nothing in the templates, refers to the network, to an absolute path, to a host or to a date: the same
report content gives the same bytes.
"""

from __future__ import annotations

import io
import math
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

TEMPLATES = Path(__file__).parent / "templates"

MISSING = "n/a"
"""How a missing number is printed, in tables and pages alike."""

_NUMBER = re.compile(r"-?\d*\.\d{2,}(?:e-?\d+)?")
_COORDINATES = re.compile(r'(?<=[\s"])(d|points)="([^"]*)"')
_REFERENCE = re.compile(r'(?:url\(#|href="#)([^")]+)')
_ID = re.compile(r'\sid="([^"]+)"')


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the Jinja2 environment of every page: escaping on, undefined names are errors."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["num"] = format_number
    env.filters["pct"] = format_percent
    env.filters["words"] = format_value
    return env


def render(template: str, /, **context: Any) -> str:  # noqa: ANN401  a template takes any context
    """Render a template of this room to text."""
    return environment().get_template(template).render(**context)


def format_number(value: object, digits: int = 3) -> str:
    """Print a number with ``digits`` significant digits and no exponent where that stays short.

    Examples
    --------
    >>> format_number(12.3456), format_number(0.00123), format_number(None), format_number(1234.5)
    ('12.3', '0.00123', 'n/a', '1234')
    """
    if value is None or isinstance(value, (str, bool)):
        return MISSING if value is None else str(value)
    number = float(value)  # type: ignore[arg-type]  # anything float() takes
    if not math.isfinite(number):
        return MISSING
    if number == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(number)))
    if magnitude < -4 or magnitude >= 6:
        return f"{number:.{digits - 1}e}"
    text = f"{number:.{max(0, digits - 1 - magnitude)}f}"
    return "0" if float(text) == 0 else text


def format_percent(share: object, digits: int = 0) -> str:
    """Print a share (0 to 1) as a percentage.

    Examples
    --------
    >>> format_percent(0.256), format_percent(None)
    ('26 %', 'n/a')
    """
    if share is None or not math.isfinite(float(share)):  # type: ignore[arg-type]  # anything float() takes
        return MISSING
    return f"{100 * float(share):.{digits}f} %"  # type: ignore[arg-type]  # checked above


def format_value(value: object) -> str:
    """Print whatever a settings value or a parameter may be, in words a reader understands.

    Examples
    --------
    >>> format_value((0.5, 4.2)), format_value(True), format_value({"a": 1}), format_value(None)
    ('0.5, 4.2', 'yes', 'a: 1', 'n/a')
    """
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {format_value(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(format_value(item) for item in value)
    return str(value)


def inline_svg(fig: Figure, *, name: str, title: str) -> str:
    """Return a figure as an ``<svg>`` element that can stand inside a page.

    Parameters
    ----------
    fig
        The figure; it is not changed.
    name
        Unique within the page: prefixes every identifier, so that two figures never share one, and salts the ones
        matplotlib makes up, so that the bytes are the same in every run.
    title
        What the figure shows, for screen readers.

    Notes
    -----
    Coordinates are rounded to a tenth of a point, identifiers nobody refers to are dropped, text stays text
    (searchable, in the page's font), and the style sheet matplotlib writes, which would apply to the whole page, is
    turned into attributes of this element.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": name, "path.simplify": True, "path.simplify_threshold": 0.25}
    ):
        fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _clean_svg(buffer.getvalue(), name=name, title=title)


def _clean_svg(text: str, *, name: str, title: str) -> str:
    """Strip an SVG document to the element a page needs; see :func:`inline_svg`."""
    from markupsafe import escape

    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = _COORDINATES.sub(lambda match: f'{match[1]}="{_round_coordinates(match[2])}"', body)
    body = _prefix_ids(body, name)
    head, rest = body.split(">", 1)
    box = re.search(r'viewBox="([^"]+)"', head)
    if box is None:
        raise ValueError("matplotlib wrote an SVG without a viewBox")
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box[1]}" '
        f'class="figure" role="img" aria-label="{escape(title)}" stroke-linejoin="round" stroke-linecap="butt">'
    )
    rest = re.sub(r"\s*\n\s*", " ", rest)
    return f"{opening}<title>{escape(title)}</title>{rest.strip()}"


def _round_coordinates(path: str) -> str:
    """Round every number of a path to one decimal and drop needless spaces."""
    rounded = _NUMBER.sub(lambda match: f"{float(match[0]):.1f}".replace("-0.0", "0.0"), path)
    return re.sub(r"\s+", " ", rounded).strip().replace(".0 ", " ")


def _prefix_ids(body: str, name: str) -> str:
    """Drop identifiers nobody refers to and prefix the others with ``name``."""
    used = set(_REFERENCE.findall(body))
    body = _ID.sub(lambda match: f' id="{name}-{match[1]}"' if match[1] in used else "", body)
    return _REFERENCE.sub(lambda match: match[0].replace(match[1], f"{name}-{match[1]}"), body)
