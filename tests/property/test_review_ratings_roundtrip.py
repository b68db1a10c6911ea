"""Whatever a reviewer types comes back from the table, in one row of eleven columns."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mrs_pipeline.report.review_ratings import (
    COLUMNS,
    OVERRIDES,
    RATING_REASONS,
    RATINGS,
    make_rating,
    read_ratings,
    save_rating,
)

labels = st.from_regex(r"[0-9a-zA-Z]{1,8}", fullmatch=True)
scans = st.fixed_dictionaries(
    {
        "participant_id": labels.map(lambda label: f"sub-{label}"),
        **{name: labels | st.just("n/a") for name in ("session", "voi", "acq", "run", "task")},
    }
)


@st.composite
def ratings(draw):
    word = st.text(min_size=1, max_size=60).filter(lambda text: any(c.isprintable() and not c.isspace() for c in text))
    return make_rating(
        draw(scans),
        rating=draw(st.sampled_from(RATINGS)),
        reasons=tuple(draw(st.lists(st.sampled_from(RATING_REASONS), min_size=1, unique=True))),
        override=draw(st.sampled_from(OVERRIDES)),
        comment=draw(word),
        reviewer=draw(word),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(ratings(), min_size=1, max_size=4))
def test_ratings_survive_the_table(made):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "group" / "ratings.tsv"
        for rating in made:
            save_rating(path, rating)
        lines = path.read_text(encoding="utf-8").split("\n")
        read = read_ratings(path)
    last = {(rating.scan, rating.reviewer): rating for rating in made}
    assert set(read) == set(last.values())
    assert len(lines) == len(last) + 2
    assert all(line.count("\t") == len(COLUMNS) - 1 for line in lines[:-1])
