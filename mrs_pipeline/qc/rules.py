"""Rules as data, and the verdict they give on one scan's metrics."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from mrs_pipeline.config import read_preset
from mrs_pipeline.errors import StudyError
from mrs_pipeline.qc.labels import metric_title, metric_unit

Value = float | str | bool | None
Status = Literal["pass", "warn", "fail"]

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_ORDERED = {"<", "<=", ">", ">="}
_SEVERITIES = ("warn", "fail")


@dataclass(frozen=True)
class Rule:
    """One quality rule.

    Parameters
    ----------
    name
        Unique name.
    metric
        Metric it looks at.
    operator
        One of ``<``, ``<=``, ``>``, ``>=``, ``==``, ``!=``: metric operator limit fires the rule.
    limit
        Number, or text for ``==`` and ``!=``.
    severity
        ``"warn"`` or ``"fail"``.
    words
        What is said when it fires.
    source
        Where the limit comes from.
    """

    name: str
    metric: str
    operator: str
    limit: float | str
    severity: str
    words: str
    source: str

    def fires(self, value: Value) -> bool:
        """Whether the rule fires on an available value."""
        return _OPERATORS[self.operator](value, self.limit)


@dataclass(frozen=True)
class Fired:
    """A rule that fired, with the value it fired on."""

    rule: Rule
    value: float | str | bool

    @property
    def sentence(self) -> str:
        """One clause for tables: the words, then metric, value and limit; a limit in words says nothing more."""
        value = f"{self.value:.3g}" if isinstance(self.value, float) else str(self.value)
        limit = "" if isinstance(self.rule.limit, str) else f", limit {self.rule.limit:g}"
        unit = metric_unit(self.rule.metric)
        return f"{self.rule.words} ({metric_title(self.rule.metric)}: {f'{value} {unit}'.strip()}{limit})"


@dataclass(frozen=True)
class NotChecked:
    """A rule that could not be checked, and why."""

    rule: str
    metric: str
    why: str


@dataclass(frozen=True)
class Verdict:
    """What the rules say about one scan.

    Parameters
    ----------
    status
        ``"fail"`` if a fail rule fired, else ``"warn"`` if a warn rule fired, else ``"pass"``. A rule that could not
        be checked changes nothing, but is listed.
    fired
        The rules that fired, failures first.
    not_checked
        The rules whose metric was not available, and why.
    checked
        Names of the rules that were checked.
    rules_name
        Rule set used; of a file its name, without the folder.
    """

    status: Status
    fired: tuple[Fired, ...]
    not_checked: tuple[NotChecked, ...]
    checked: tuple[str, ...]
    rules_name: str

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON types."""
        return {
            "status": self.status,
            "rules": self.rules_name,
            "fired": [{**asdict(fired.rule), "value": fired.value, "sentence": fired.sentence} for fired in self.fired],
            "not_checked": [asdict(item) for item in self.not_checked],
            "checked": list(self.checked),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """Rebuild a verdict from :meth:`to_dict`."""
        names = [field.name for field in fields(Rule)]
        return cls(
            status=data["status"],
            fired=tuple(Fired(Rule(**{name: item[name] for name in names}), item["value"]) for item in data["fired"]),
            not_checked=tuple(NotChecked(**item) for item in data["not_checked"]),
            checked=tuple(data["checked"]),
            rules_name=data["rules"],
        )


def load_rules(name: str) -> tuple[Rule, ...]:
    """Read a rule set by name, or a TOML file by path.

    Raises
    ------
    StudyError
        Unknown name, unreadable file, or a rule that is not complete and sound.
    """
    data = read_preset("qc", name)
    rules = tuple(_rule(item, name) for item in data.get("rule", ()))
    names = [rule.name for rule in rules]
    double = sorted({rule for rule in names if names.count(rule) > 1})
    if not rules or double:
        problem = f"the rule names {', '.join(double)} occur twice" if double else "the rule set holds no [[rule]]"
        raise StudyError(problem, remedy="correct the rule set", path=_path(name))
    return rules


def assess(metrics: Mapping[str, Value], rules: str | tuple[Rule, ...]) -> Verdict:
    """Judge one scan's metrics.

    Parameters
    ----------
    metrics
        Metric values by name; ``None`` where a metric is not available.
    rules
        Name of a rule set, path of a TOML file, or rules already read.

    Returns
    -------
    Verdict
        Status, the rules that fired with value and words, and the rules that could not be checked.

    Examples
    --------
    >>> rule = Rule("broad", "fwhm_ppm", ">", 0.1, "warn", "the lines are broad", "example")
    >>> assess({"fwhm_ppm": 0.12}, (rule,)).status
    'warn'
    """
    used = load_rules(rules) if isinstance(rules, str) else rules
    missing = {rule.name: why for rule in used if (why := _unavailable(rule, metrics)) is not None}
    checked = [rule for rule in used if rule.name not in missing]
    fired = [
        Fired(rule, value) for rule in checked if (value := metrics[rule.metric]) is not None and rule.fires(value)
    ]
    fired.sort(key=lambda item: item.rule.severity != "fail")
    severities = {item.rule.severity for item in fired}
    return Verdict(
        status="fail" if "fail" in severities else "warn" if "warn" in severities else "pass",
        fired=tuple(fired),
        not_checked=tuple(
            NotChecked(rule.name, rule.metric, missing[rule.name]) for rule in used if rule.name in missing
        ),
        checked=tuple(rule.name for rule in checked),
        rules_name=Path(rules).name if isinstance(rules, str) else "given",
    )


def _unavailable(rule: Rule, metrics: Mapping[str, Value]) -> str | None:
    """Why a rule cannot be checked, as said of its metric; ``None`` when it can."""
    if rule.metric not in metrics:
        return "was not computed for this scan"
    value = metrics[rule.metric]
    if value is None:
        return "is not available for this scan"
    if isinstance(rule.limit, str) != isinstance(value, str):
        return f"is {value!r}, the limit {rule.limit!r}"
    if isinstance(value, float) and value != value:  # noqa: PLR0124  the test for not-a-number
        return "is not a number"
    return None


def _rule(item: Mapping[str, Any], name: str) -> Rule:
    """Build one rule from its table, or say what is wrong with it."""
    known = {field.name for field in fields(Rule)}
    label = item.get("name", "(without name)")
    missing, unknown = sorted(known - set(item)), sorted(set(item) - known)
    problem = None
    if missing:
        problem = f"misses {', '.join(missing)}"
    elif unknown:
        problem = f"has unknown keys {', '.join(unknown)}"
    elif item["operator"] not in _OPERATORS:
        problem = f"has the operator {item['operator']!r}, not one of {', '.join(_OPERATORS)}"
    elif item["severity"] not in _SEVERITIES:
        problem = f"has the severity {item['severity']!r}, not one of {', '.join(_SEVERITIES)}"
    elif isinstance(item["limit"], str) and item["operator"] in _ORDERED:
        problem = f"compares text by {item['operator']}"
    elif isinstance(item["limit"], bool) or not isinstance(item["limit"], str | int | float):
        problem = f"has the limit {item['limit']!r}, neither number nor text"
    if problem is not None:
        raise StudyError(f"the quality rule '{label}' {problem}", remedy="correct the rule set", path=_path(name))
    limit = item["limit"] if isinstance(item["limit"], str) else float(item["limit"])
    return Rule(**{**item, "limit": limit})


def _path(name: str) -> str | None:
    """Path for an error message: only a file has one."""
    return name if name.endswith(".toml") else None
