"""LCModel's files hold for any content: RAW data come back, and every row that its formats can print is read."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mrs_pipeline.nifti_mrs import format_lcmodel_raw, read_lcmodel_raw, read_lcmodel_table
from mrs_pipeline.spectrum import Spectrum

NAMES = ("NAA", "-CrCH2", "Cr+PCr", "Glu+Gln", "MM14+Lip13a+Lip13b+MM12", "Lip13a+Lip13b")
parts = arrays(np.float64, 80, elements=st.floats(-1.0, 1.0, allow_subnormal=False, width=32))


def in_folder(name, text, read):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text)
        return read(path)


@given(real=parts, imaginary=parts, size=st.floats(-18, 18), reference=st.floats(4.5, 4.9))
def test_raw_data_come_back(real, imaginary, size, reference):
    fid = 10.0**size * (real + 1j * imaginary + 0.1)
    spectrum = Spectrum(fid, 5e-4, 123.2, reference)
    back = in_folder("x.raw", format_lcmodel_raw(spectrum), lambda path: read_lcmodel_raw(path, 5e-4, 123.2))
    moved = back.shifted((4.65 - reference) * 123.2)
    np.testing.assert_allclose(moved.fid, fid, atol=3e-7 * np.abs(fid).max())


def printed(value, digits):
    """LCModel's EFORM: exponential outside 0.0995 to 999.999, never for zero."""
    exponential = value != 0 and not 0.0995 <= value <= 999.999
    return f"{value:8.{digits}E}" if exponential else f"{value:8.3f}"


amounts = st.one_of(st.just(0.0), st.floats(1e-9, 9e8))
rows = st.lists(
    st.tuples(amounts, st.integers(0, 999), amounts, st.sampled_from(" +-"), st.sampled_from(NAMES)),
    min_size=1,
    max_size=8,
)


@given(rows=rows, width=st.sampled_from(["Cr+PCr", "Cr"]))
def test_every_row_that_can_be_printed_is_read(rows, width):
    lines = [f"{printed(a, 2)}{p:4d}%{printed(r, 1)}{mark}{name}" for a, p, r, mark, name in rows]
    text = (
        f"\n$$CONC{len(rows) + 1:3d} lines in following concentration table = NCONC+1\n"
        f"    Conc.  %SD {'/' + width if len(width) > 4 else '  /' + width}  Metabolite\n"
        + "".join(f" {line:52}\n" for line in lines)
        + "\n$$MISC  1 lines in following misc. output table\n   FWHM = 0.084 ppm    S/N =  21\n"
    )
    table = in_folder("x.table", text, read_lcmodel_table)
    assert table.reference == width
    assert [(row.name, row.sd_percent, row.off_prior) for row in table.rows] == [
        (name, float(p), mark != " ") for _, p, _, mark, name in rows
    ]
    for row, (amount, _, ratio, _, _) in zip(table.rows, rows, strict=True):
        assert abs(row.concentration - amount) <= max(0.0006, 0.006 * amount)
        assert abs(row.ratio - ratio) <= max(0.0006, 0.06 * ratio)
