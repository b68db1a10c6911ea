"""CONSORT-style counts of participants, pooled or per arm."""

from __future__ import annotations

import pandas as pd

from mrs_pipeline.stats.columns import FLOW_COLUMNS, REASONS


def flow(
    scans: pd.DataFrame, enrolled: set[str], visits: tuple[str, ...], regions: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Count participants along the trial, with the reason for every loss.

    Parameters
    ----------
    scans
        Table of scans with their decisions (`decide`).
    enrolled
        Participants of the study; everyone scanned is added.
    visits
        Sessions in order; the first is the baseline. Sessions found beyond these follow at the end.
    regions
        voi labels; empty: all found.

    Returns
    -------
    pandas.DataFrame
        Columns step, session, voi, reason, n. Steps: ``enrolled``, ``scanned`` (any region and visit), then per visit
        and region ``scanned``, ``usable`` and ``lost`` (one row per reason), then per follow-up visit and region
        ``usable at baseline and visit``.

    Notes
    -----
    For every visit and region: scanned at any visit in that region = usable + the sum of lost, where a participant with
    several scans counts as usable when one of them is included, and is otherwise lost for the reason of the first.
    """
    voices = regions or tuple(sorted(set(scans["voi"])))
    sessions = (*visits, *sorted(set(scans["session"]) - set(visits)))
    everyone = enrolled | set(scans["participant_id"])
    rows: list[tuple[str, str, str, str, int]] = [
        ("enrolled", "n/a", "n/a", "n/a", len(everyone)),
        ("scanned", "n/a", "n/a", "n/a", scans["participant_id"].nunique()),
    ]
    for voi in voices:
        here = scans[scans["voi"] == voi]
        for session in sessions:
            rows += _visit_rows(here, session, voi)
        rows += _pair_rows(here, sessions, voi)
    return pd.DataFrame(rows, columns=list(FLOW_COLUMNS))


def _visit_rows(here: pd.DataFrame, session: str, voi: str) -> list[tuple[str, str, str, str, int]]:
    """Rows of one visit and region."""
    people = set(here["participant_id"])
    now = here[here["session"] == session]
    usable = set(now.loc[now["included"].astype(bool), "participant_id"])
    lost = now[~now["participant_id"].isin(usable)].drop_duplicates("participant_id")
    counts = {"missed visit": len(people - set(now["participant_id"]))} | lost["reason"].value_counts().to_dict()
    return [
        ("scanned", session, voi, "n/a", now["participant_id"].nunique()),
        ("usable", session, voi, "n/a", len(usable)),
        *(("lost", session, voi, reason, int(counts[reason])) for reason in REASONS if counts.get(reason)),
    ]


def _pair_rows(here: pd.DataFrame, sessions: tuple[str, ...], voi: str) -> list[tuple[str, str, str, str, int]]:
    """Participants usable at baseline and at each later visit."""
    good = here[here["included"].astype(bool)]
    at = {session: set(good.loc[good["session"] == session, "participant_id"]) for session in sessions}
    return [
        ("usable at baseline and visit", visit, voi, "n/a", len(at[sessions[0]] & at[visit])) for visit in sessions[1:]
    ]


def cell_counts(scans: pd.DataFrame) -> pd.DataFrame:
    """Count scans found and included per region and visit (columns voi, session, scans, included)."""
    grouped = scans.assign(included=scans["included"].astype(bool)).groupby(["voi", "session"], sort=True)["included"]
    return grouped.agg(scans="size", included="sum").reset_index()
