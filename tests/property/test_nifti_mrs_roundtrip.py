"""Whatever goes to disk comes back as it was, and stands there as the conjugate."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mrs_pipeline.nifti_mrs import NiftiMrs, read, write
from mrs_pipeline.spectrum import Spectrum

TAGS = ("DIM_COIL", "DIM_DYN", "DIM_MEAS")


@st.composite
def acquisitions(draw):
    dims = TAGS[: draw(st.integers(0, 3))]
    shape = (*(draw(st.integers(1, 4)) for _ in dims), draw(st.integers(2, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    fid = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) * 10.0 ** draw(st.integers(-9, 9))
    if draw(st.booleans()):
        fid = fid.astype(np.complex64)
    time = st.none() | st.floats(0.002, 0.5)
    spectrum = Spectrum(
        fid,
        draw(st.floats(1e-5, 1e-2)),
        draw(st.floats(20, 500)),
        reference_ppm=draw(st.floats(-10, 20)),
        echo_time=draw(time),
        repetition_time=draw(st.none() | st.floats(0.05, 60)),
        mixing_time=draw(time),
        flip_angle=draw(st.none() | st.floats(1, 180)),
        dims=dims,
    )
    affine = np.eye(4)
    affine[:3] = rng.normal(0, 20, (3, 4))
    header = draw(st.fixed_dictionaries({}, optional={"TxOffset": st.floats(-3, 3), "RxOffset": st.floats(-3, 3)}))
    return NiftiMrs(spectrum, affine, header)


@settings(max_examples=60, deadline=None)
@given(acquisitions())
def test_disk_round_trip(nifti):
    with tempfile.TemporaryDirectory() as folder:
        path = write(nifti, Path(folder) / "x_svs.nii.gz")
        back = read(path)
        again = write(back, Path(folder) / "y_svs.nii.gz")
        stored = np.asanyarray(nib.load(path).dataobj)
        assert path.read_bytes() == again.read_bytes()
    a, b = nifti.spectrum, back.spectrum
    np.testing.assert_array_equal(b.fid, a.fid)
    np.testing.assert_array_equal(np.moveaxis(stored[0, 0, 0], 0, -1).conj(), a.fid)
    assert (b.dwell, b.carrier_mhz, b.dims, b.nucleus) == (a.dwell, a.carrier_mhz, a.dims, a.nucleus)
    assert (b.echo_time, b.repetition_time, b.mixing_time, b.flip_angle) == (
        a.echo_time,
        a.repetition_time,
        a.mixing_time,
        a.flip_angle,
    )
    np.testing.assert_allclose(b.reference_ppm, a.reference_ppm, atol=2e-9)
    np.testing.assert_allclose(back.affine, nifti.affine, rtol=1e-12)
