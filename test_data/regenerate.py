"""Write the small synthetic trials of this folder again, with their checksums.

    python test_data/regenerate.py            writes them in place and renews SHA256SUMS
    python test_data/regenerate.py --out DIR  writes them elsewhere

Everything here is synthetic: no person was scanned. The tissue maps behind the T1w images are the ICBM 152 maps that
nilearn bundles; their notice is in test_data/README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mrs_pipeline.synthetic import Acquisition, HeadSettings, SpectrumSettings, Transients, TrialSettings, write_trial

HERE = Path(__file__).resolve().parent

_SINGLE = TrialSettings(participants=1, scanned=1, regions=("acc",), broken_scan=False, segmented_t1w=0, seed=11)


def _acquired(**changes: float) -> SpectrumSettings:
    return replace(SpectrumSettings(), acquisition=replace(Acquisition(n_points=1024), **changes))


def trials() -> Mapping[str, TrialSettings]:
    """Return the settings of every trial by folder name."""
    coils = Transients(coils=4, spoiled=0.125)
    few = {"averages": 8, "water_averages": 2, "carrier_mhz": 123.25, "dwell": 1 / 2500}
    return {
        "philips": replace(
            _SINGLE,
            participants=4,
            scanned=2,
            segmented_t1w=1,
            broken_scan=True,
            spectrum=_acquired(),
            head=HeadSettings(resolution_mm=4.0),
        ),
        "philips-transients": replace(
            _SINGLE, visits=("baseline",), transients=Transients(), spectrum=_acquired(averages=16, water_averages=4)
        ),
        "siemens-rda": replace(
            _SINGLE,
            vendor="siemens",
            t1w_format="dicom",
            segmented_t1w=1,
            spectrum=_acquired(carrier_mhz=123.25, dwell=1 / 2500),
            head=HeadSettings(resolution_mm=7.0),
            visits=("baseline",),
        ),
        "siemens-twix": replace(
            _SINGLE, vendor="siemens-twix", visits=("baseline",), transients=coils, spectrum=_acquired(**few)
        ),
        "nifti-mrs": replace(
            _SINGLE, vendor="nifti-mrs", visits=("baseline",), transients=coils, spectrum=_acquired(**few)
        ),
    }


def regenerate(out: Path) -> None:
    """Write every trial below a folder, replacing what is there."""
    for name, settings in trials().items():
        shutil.rmtree(out / name, ignore_errors=True)
        write_trial(out / name, settings, progress=lambda line, name=name: print(f"{name}: {line}"))


def checksums(folder: Path) -> str:
    """Return one line per generated file, as sha256sum prints them."""
    files = sorted(p for name in trials() for p in (folder / name).rglob("*") if p.is_file())
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files]
    return "".join(lines)


def main() -> None:
    """Regenerate in place, or elsewhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    out = parser.parse_args().out
    regenerate(out)
    (out / "SHA256SUMS").write_text(checksums(out), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
