"""Names and entities are two spellings of one thing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mrs_pipeline.bids import ENTITY_ORDER, Entities, build_name, clean_label, parse_name

INDEX = {"run", "echo", "flip", "inv", "split"}
LABELS = st.text("abcXYZ0189", min_size=1, max_size=6)
NUMBERS = st.text("0123456789", min_size=1, max_size=3)


@st.composite
def entities(draw):
    keys = draw(st.sets(st.sampled_from(ENTITY_ORDER), max_size=8)) | {"sub"}
    values = {key: draw(NUMBERS if key in INDEX else LABELS) for key in keys}
    suffix = draw(st.sampled_from(["svs", "mrsref", "T1w", "mrs", "probseg"]))
    return Entities(**values, suffix=suffix, extension=draw(st.sampled_from([".nii.gz", ".nii", ".json", ".tsv"])))


@given(entities())
def test_entities_to_name_and_back(value):
    assert parse_name(build_name(value)) == value


@given(entities())
def test_name_to_entities_and_back(value):
    name = build_name(value)
    assert build_name(parse_name(name)) == name


@given(st.text(max_size=30))
def test_a_clean_label_is_a_label(text):
    label = clean_label(text)
    if label:
        assert parse_name(f"sub-{label}_svs.nii.gz").sub == label
