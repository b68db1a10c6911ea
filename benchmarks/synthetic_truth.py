"""How exact the synthetic truth is: round trips through converters, quadrature of boxes, speed of a trial.

python benchmarks/synthetic_truth.py            everything but the timing of a whole trial
python benchmarks/synthetic_truth.py --trial    also writes the trial of `mrs-pipeline demo` and times it
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mrs_pipeline.nifti_mrs import read
from mrs_pipeline.spectrum import FloatArray, Spectrum
from mrs_pipeline.synthetic import (
    REGIONS,
    Acquisition,
    HeadSettings,
    SpectrumSettings,
    Transients,
    TrialSettings,
    heads,
    simulate_spectrum,
    simulate_transients,
    strong_head,
    write_trial,
)
from mrs_pipeline.synthetic.geometry import box_affine, rotation
from mrs_pipeline.synthetic.philips_io import write_sdat
from mrs_pipeline.synthetic.siemens_io import write_rda
from mrs_pipeline.synthetic.twix_io import write_twix

Writer = Callable[[Spectrum, FloatArray, Path], list[str]]


def _philips(spectrum: Spectrum, affine: FloatArray, stem: Path) -> list[str]:
    path = stem.with_suffix(".SDAT")
    write_sdat(spectrum, affine, path, averages=64, name="PRESS", halved_first_point=False)
    return ["philips", str(path), str(path.with_suffix(".SPAR"))]


def _rda(spectrum: Spectrum, affine: FloatArray, stem: Path) -> list[str]:
    path = stem.with_suffix(".rda")
    write_rda(spectrum, affine, path, averages=64, name="svs_se_30")
    return ["rda", str(path)]


def _twix(spectrum: Spectrum, affine: FloatArray, stem: Path) -> list[str]:
    path = stem.with_suffix(".dat")
    write_twix(spectrum, affine, path, name="svs_se_30")
    return ["twix", "-q", "-e", "image", str(path)]


def round_trips(folder: Path) -> None:
    """Print the largest relative signal error and geometry error of each format over three oblique boxes."""
    acq = Acquisition(n_points=1024, averages=8, water_averages=2)
    average = simulate_spectrum(replace(SpectrumSettings(), acquisition=acq), seed=1).metabolite
    coils = simulate_transients(replace(SpectrumSettings(), acquisition=acq), Transients(coils=4), seed=1).metabolite
    cases: list[tuple[str, Writer, Spectrum]] = [
        ("Philips SDAT/SPAR", _philips, average),
        ("Siemens RDA", _rda, average),
        ("Siemens TWIX", _twix, coils),
    ]
    print(f"{'format':20s} {'signal':>10s} {'geometry / mm':>14s}")
    for name, writer, spectrum in cases:
        signal, geometry = 0.0, 0.0
        for k, angles in enumerate([(0, 0, 0), (25, -15, 40), (80, 10, 5)]):
            affine = box_affine((12.3, -40.0, 33.0), (20.0, 25.0, 30.0), rotation(angles))
            kind, *files = writer(spectrum, affine, folder / f"{k}")
            spec2nii = Path(sys.executable).parent / "spec2nii"
            command = [str(spec2nii), kind, "-o", str(folder), "-f", "back", *files]
            subprocess.run(command, check=True, capture_output=True)
            back = read(folder / "back.nii.gz")
            scale = np.abs(spectrum.fid).max()
            signal = max(signal, float(np.abs(back.spectrum.fid - spectrum.fid).max() / scale))
            geometry = max(geometry, float(np.abs(back.affine - affine).max()))
        print(f"{name:20s} {signal:10.1e} {geometry:14.1e}")


def quadrature() -> None:
    """Print the largest error of box fractions by quadrature step, over regions and two kinds of head."""
    print(f"\n{'step / mm':>10s} {'usual head':>12s} {'strong head':>12s}   largest error of a tissue fraction")
    errors: dict[float, list[float]] = {}
    for settings in (HeadSettings(), strong_head()):
        head = heads.random_head(settings, np.random.default_rng(1))
        boxes = [
            box_affine(heads.from_template(head, np.array(r.mni)), r.size_mm, rotation((20.0, -10.0, 30.0)))
            for r in REGIONS.values()
        ]
        exact = [heads.box_tissue(head, box, 0.25).vector for box in boxes]
        for step in (2.0, 1.0, 0.5):
            found = [heads.box_tissue(head, box, step).vector for box in boxes]
            errors.setdefault(step, []).append(
                max(float(np.abs(a - b).max()) for a, b in zip(found, exact, strict=True))
            )
    for step, (usual, strong) in errors.items():
        print(f"{step:10.1f} {usual:12.1e} {strong:12.1e}")


def trial(folder: Path) -> None:
    """Time the trial of the demo."""
    start, cpu = time.perf_counter(), time.process_time()
    truth = write_trial(folder / "trial", TrialSettings())
    size = sum(p.stat().st_size for p in truth.folder.rglob("*") if p.is_file()) / 1e6
    print(f"\n{len(truth.scans)} scans and 2 T1w images: {time.perf_counter() - start:.0f} s", end=" ")
    print(f"({time.process_time() - cpu:.0f} s of CPU), {size:.0f} MB")


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trial", action="store_true", help="also write and time the trial of the demo")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        round_trips(Path(name))
        quadrature()
        if wanted.trial:
            trial(Path(name))


if __name__ == "__main__":
    main()
