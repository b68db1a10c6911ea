"""Reading and writing basis sets, whatever their format."""

from __future__ import annotations

from pathlib import Path

from mrs_pipeline.basis.model import Basis
from mrs_pipeline.errors import BasisError
from mrs_pipeline.files import atomic_write
from mrs_pipeline.spectrum import WATER_PPM

_FORMATS = (
    "FILE.basis (LCModel), FILE.txt (jMRUI), DIR.fsl or a folder of .json (FSL-MRS), DIR.nifti or a folder of NIfTI-MRS"
)
_WRITABLE = (".basis", ".txt", ".fsl", ".json", ".nifti")


def load_basis(path: str | Path) -> Basis:
    """Read a basis set and bring it to the package's convention and unit.

    Parameters
    ----------
    path
        An LCModel ``.basis`` file, a jMRUI ``.txt`` file, or a folder of FSL-MRS ``.json`` or NIfTI-MRS files.

    Returns
    -------
    Basis
        Carrier at 4.65 ppm, first point not halved, no reference line, the 3.027 ppm line of Cr at 3 protons; what was
        found and corrected stands in ``notes``, the factor in ``scale``.

    Raises
    ------
    BasisError
        The file is missing, unreadable, empty or of no known format.
    """
    from mrs_pipeline.basis.normalise import normalise

    path = Path(path)
    if not path.exists():
        raise BasisError("no such file or folder", remedy="check the path of [basis] source", path=path)
    return normalise(_read(path))


def _read(path: Path) -> Basis:
    from mrs_pipeline.basis.exchange import read_fsl, read_jmrui, read_nifti_folder
    from mrs_pipeline.basis.lcmodel import read_lcmodel

    if path.is_dir():
        return read_fsl(path) if any(path.glob("*.json")) and not any(path.glob("*.nii*")) else read_nifti_folder(path)
    if path.suffix.lower() == ".basis":
        return read_lcmodel(path)
    if path.suffix.lower() == ".txt":
        return read_jmrui(path)
    raise BasisError(
        f"{path.suffix or 'a file without suffix'} is no known basis format", remedy=f"use {_FORMATS}", path=path
    )


def check_output(path: str | Path) -> None:
    """Refuse an output whose name asks for no format, before anything is computed for it.

    Raises
    ------
    BasisError
        The suffix names no format.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITABLE:
        raise BasisError(f"{suffix or 'no suffix'} names no format", remedy=f"use {_FORMATS}", path=Path(path))


def save_basis(basis: Basis, path: str | Path) -> Path:
    """Write a basis set in the format its name asks for.

    Parameters
    ----------
    basis
        The set; it is moved to a carrier of 4.65 ppm where the format knows no other.
    path
        ``.basis`` (LCModel), ``.txt`` (jMRUI), a folder ``*.fsl`` or ``*.json`` (FSL-MRS json files), or a folder
        ``*.nifti`` (NIfTI-MRS, one file per metabolite).

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    BasisError
        The suffix names no format, or the format cannot hold a name of the set.
    """
    from mrs_pipeline.basis.exchange import format_jmrui, fsl_files, write_nifti_folder
    from mrs_pipeline.basis.lcmodel import format_lcmodel
    from mrs_pipeline.basis.normalise import move_carrier

    path = Path(path)
    check_output(path)
    suffix = path.suffix.lower()
    if suffix == ".basis":
        atomic_write(path, format_lcmodel(move_carrier(basis, WATER_PPM)).encode("ascii"))
    elif suffix == ".txt":
        atomic_write(path, format_jmrui(move_carrier(basis, WATER_PPM)).encode("ascii"))
    elif suffix in {".fsl", ".json"}:
        for name, content in fsl_files(basis).items():
            atomic_write(path / name, content)
    else:
        write_nifti_folder(basis, path)
    return path
