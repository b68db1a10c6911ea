"""Which study file a run uses: the one given, the one a former level saved, or the defaults."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

from mrs_pipeline.config import Study, load_study, locate_files
from mrs_pipeline.errors import StudyError
from mrs_pipeline.interfaces.anatomy_external import require

LONGEST_ECHO_TIME_S = 0.5
"""Longest time of a sequence that can be meant in seconds; longer ones are milliseconds."""


def settings_for(args: argparse.Namespace) -> tuple[Study, Path | None]:
    """Return the settings of a run and the file they came from.

    Without ``--study``, ``OUTPUT_DIR/study.toml`` (the settings of an earlier level) is used, then
    ``BIDS_DIR/code/study.toml``, then the defaults. ``--derivatives`` overrides ``[tissue]``.
    """
    _check_directories(args)
    candidates = [args.output_dir / "study.toml", args.bids_dir / "code" / "study.toml"]
    path = args.study or next((candidate for candidate in candidates if candidate.is_file()), None)
    study = read_settings(path, args.bids_dir)
    if args.derivatives is not None:
        tissue = study.tissue.model_copy(
            update={"source": "derivatives", "derivatives": str(args.derivatives.resolve())}
        )
        study = study.model_copy(update={"tissue": tissue})
    if args.level == "participant":
        args.data = data_files(study, path, args.bids_dir)
        check_values(study, path)
    return study, path


def read_settings(path: Path | None, bids_dir: Path) -> Study:
    """Return the settings with the files they name found beside study.toml, in the BIDS folder or its code folder."""
    return locate_files(load_study(path), search_folders(path, bids_dir), path)


def search_folders(study_path: Path | None, bids_dir: Path) -> list[Path]:
    """Return where a file named in study.toml may lie, in the order in which it is looked for."""
    return [*([study_path.parent] if study_path else []), bids_dir, bids_dir / "code", Path.cwd()]


def check_values(study: Study, path: Path | None) -> None:
    """Refuse, before any work, names that do not exist, windows the wrong way round and times that are no seconds.

    Parameters
    ----------
    study
        Settings.
    path
        The file they came from.

    Raises
    ------
    StudyError
        A setting that would fail every scan.
    """
    from mrs_pipeline.fit import check_settings
    from mrs_pipeline.qc import load_rules
    from mrs_pipeline.quantify import load_constants

    check_settings(study.fit)
    load_rules(study.qc.rules)
    load_constants(study.quantify.preset, 123.2, study.quantify.overrides)
    _check_programs(study, path)
    steps = study.preprocess
    windows = {
        "[fit] ppm": study.fit.ppm,
        "[preprocess.outliers] ppm": steps.outliers.ppm,
        "[preprocess.alignment] ppm": steps.alignment.ppm,
        "[preprocess.water_removal] ppm": steps.water_removal.ppm,
    }
    for name, (low, high) in windows.items():
        if not low < high:
            raise StudyError(
                f"{name} = [{low:g}, {high:g}] runs the wrong way", remedy="give the lower limit first", path=path
            )
    times = {f"[basis] {name}": getattr(study.basis, name) for name in ("te1", "te2", "tm")}
    for name, value in (times | {"[protocol] echo_time": study.protocol.echo_time}).items():
        if value is not None and value > LONGEST_ECHO_TIME_S:
            raise StudyError(
                f"{name} = {value:g} is {value:g} s",
                remedy=f"give it in seconds: {value:g} ms is {value / 1e3:g}",
                path=path,
            )


def _check_programs(study: Study, path: Path | None) -> None:
    """Refuse a setting that needs a program which is not installed."""
    if study.fit.second_engine == "lcmodel" and shutil.which("lcmodel") is None:
        raise StudyError(
            '[fit] second_engine = "lcmodel", but there is no program lcmodel on the PATH',
            remedy="install LCModel (free since 2021) so that the command lcmodel is found, or leave second_engine out",
            path=path,
        )


@dataclass(frozen=True)
class DataFiles:
    """Files of data that the settings name: the tissue table and the basis set, ``None`` where none is used."""

    table: Path | None
    basis: Path | None


def data_files(study: Study, path: Path | None, bids_dir: Path) -> DataFiles:
    """Return the tissue table and the basis set, absolute or in one of :func:`search_folders`.

    Raises
    ------
    StudyError
        A file that the settings need is not there.
    """
    folders = search_folders(path, bids_dir)
    files = DataFiles(
        table=_first(study.tissue.table, folders) if study.tissue.source in {"segment", "table"} else None,
        basis=None if study.basis.source == "simulate" else _first(study.basis.source, folders),
    )
    require(study.tissue.source)
    if study.tissue.source == "table" and files.table is None:
        raise StudyError(
            f"the tissue table '{study.tissue.table}' is not there",
            remedy="put it beside study.toml or into the BIDS folder, or give its path in [tissue] table",
            path=path,
        )
    if study.basis.source != "simulate" and files.basis is None:
        raise StudyError(
            f"the basis set '{study.basis.source}' is not there",
            remedy='give the path of a .basis file in [basis] source, or "simulate"',
            path=path,
        )
    return files


def _first(name: str, folders: list[Path]) -> Path | None:
    return next((path.resolve() for folder in folders if (path := folder / name).exists()), None)


def _check_directories(args: argparse.Namespace) -> None:
    if not args.bids_dir.is_dir():
        raise StudyError("there is no such BIDS folder", remedy="check the first argument", path=args.bids_dir)
    if args.output_dir.resolve() == args.bids_dir.resolve():
        raise StudyError(
            "the output folder is the BIDS folder",
            remedy="give another folder, for example BIDS/derivatives/mrs-pipeline",
            path=args.output_dir,
        )
    if args.level == "participant" and (args.freeze or args.refreeze or args.allocation or args.concentrations):
        raise StudyError(
            "--freeze, --refreeze, --allocation and --concentrations belong to the group level",
            remedy="run the participant level without them, then 'group'",
        )
