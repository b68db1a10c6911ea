"""Which scans enter the analysis, decided blind to the arm: quality verdict first, reviewers' word over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mrs_pipeline.errors import InputError
from mrs_pipeline.stats.columns import SCAN_KEYS
from mrs_pipeline.stats.io import records

_KEYWORDS = (
    ("fit failed", ("fit", "fqn", "residual", "negative", "crlb")),
    ("no water", ("no_water", "water_missing", "missing_water")),
    ("linewidth", ("fwhm", "linewidth", "shim")),
    ("SNR", ("snr", "metabolites")),
    ("artefact", ("artefact", "artifact", "lipid", "water", "ghost", "spurious", "mirror", "baseline")),
    ("motion", ("drift", "motion", "outlier", "dropped", "kept", "transient", "transients")),
    ("wrong voxel", ("overlap", "voxel", "place", "dice", "csf", "tissue")),
    ("protocol deviation", ("protocol",)),
)


def reason_of_rule(rule: str) -> str:
    """Return the entry of the closed list of reasons that a quality rule belongs to.

    Examples
    --------
    >>> reason_of_rule("tcr_fwhm_hz"), reason_of_rule("water_suppression"), reason_of_rule("something new")
    ('linewidth', 'artefact', 'quality rule')
    """
    name = rule.lower().replace("-", "_").replace(" ", "_")
    words = set(name.split("_"))
    for reason, keys in _KEYWORDS:
        if any(key in words or ("_" in key and key in name) for key in keys):
            return reason
    return "quality rule"


def decide(scans: pd.DataFrame, ratings: pd.DataFrame) -> pd.DataFrame:
    """Add the inclusion decision to the table of scans.

    A scan is left out when its processing failed, when its quality verdict is ``fail``, or when any reviewer rated it
    ``bad``. A reviewer's ``override`` (include or exclude) is stronger than verdict and ratings, but nothing can
    include a scan that has no result.

    Parameters
    ----------
    scans
        One row per scan, as `mrs_pipeline.stats.collect` returns them.
    ratings
        One row per scan and reviewer, as `mrs_pipeline.stats.read_ratings` returns them.

    Returns
    -------
    pandas.DataFrame
        `scans` with ``rating``, ``included`` (bool), ``usable`` (bool: a result exists), ``reason`` (closed list or
        n/a) and ``detail`` (words).

    Raises
    ------
    InputError
        A rating names a scan that does not exist, or reviewers contradict each other in ``override``.
    """
    by_scan = {tuple(key): group for key, group in ratings.groupby(list(SCAN_KEYS), sort=True)}
    known = {tuple(row) for row in scans[list(SCAN_KEYS)].itertuples(index=False)}
    strangers = sorted("_".join(str(part) for part in key if part != "n/a") for key in set(by_scan) - known)
    if strangers:
        raise InputError(
            f"ratings.tsv rates scans that do not exist: {', '.join(strangers)}", remedy="correct or remove these rows"
        )
    rows = [_decision(row, by_scan.get(tuple(row[key] for key in SCAN_KEYS))) for row in records(scans)]
    return pd.concat([scans.drop(columns="detail"), pd.DataFrame(rows, index=scans.index)], axis=1)


def _decision(scan: Mapping[str, Any], ratings: pd.DataFrame | None) -> dict[str, object]:
    """Decision on one scan."""
    detail = str(scan["detail"]) or "n/a"
    rating = "n/a" if ratings is None else ";".join(ratings["rating"])
    if scan["processing"] == "failed":
        reason = "fit failed" if scan["stage"] == "fit" else "processing failed"
        return {"rating": rating, "usable": False, "included": False, "reason": reason, "detail": detail}
    included, reason = True, "n/a"
    if scan["verdict"] == "fail":
        included, reason = False, reason_of_rule(str(scan["rules"]).split(";")[0])
    if ratings is not None:
        word = _reviewers_word(scan, ratings)
        if word is not None:
            included, reason, detail = word[0], "n/a" if word[0] else "reviewer", word[1]
    return {"rating": rating, "usable": True, "included": included, "reason": reason, "detail": detail}


def _said(rating: Mapping[str, Any]) -> str:
    """One reviewer's reason and comment."""
    parts = [str(rating.get(name, "n/a")) for name in ("reason", "comment")]
    said = ", ".join(part for part in parts if part != "n/a") or str(rating["rating"])
    return f"{rating['reviewer']}: {said}"


def _reviewers_word(scan: Mapping[str, Any], ratings: pd.DataFrame) -> tuple[bool, str] | None:
    """Inclusion the reviewers decided on and their words; ``None`` when they leave it to the verdict."""
    overrides = sorted(set(ratings["override"]) - {"n/a"})
    if len(overrides) > 1:
        name = "_".join(str(scan[key]) for key in SCAN_KEYS if scan[key] != "n/a")
        raise InputError(
            f"ratings.tsv: reviewers contradict each other in 'override' for {name}", remedy="agree on one value"
        )
    deciding = ratings[ratings["override"] != "n/a"] if overrides else ratings[ratings["rating"] == "bad"]
    if not len(deciding):
        return None
    words = "; ".join(_said(row) for row in records(deciding))
    if overrides == ["include"]:
        return True, f"included by reviewer ({words})"
    return False, f"left out by reviewer ({words})"
