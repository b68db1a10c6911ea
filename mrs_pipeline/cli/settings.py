"""Which study file a run uses: the one given, the one a former level saved, or the defaults."""

from __future__ import annotations

import argparse
from pathlib import Path

from mrs_pipeline.config import Study, load_study
from mrs_pipeline.errors import StudyError


def settings_for(args: argparse.Namespace) -> tuple[Study, Path | None]:
    """Return the settings of a run and the file they came from.

    Without ``--study``, ``OUTPUT_DIR/study.toml`` (the settings of an earlier level) is used, then
    ``BIDS_DIR/code/study.toml``, then the defaults. ``--derivatives`` overrides ``[tissue]``.
    """
    _check_directories(args)
    candidates = [args.output_dir / "study.toml", args.bids_dir / "code" / "study.toml"]
    path = args.study or next((candidate for candidate in candidates if candidate.is_file()), None)
    study = load_study(path)
    if args.derivatives is not None:
        tissue = study.tissue.model_copy(
            update={"source": "derivatives", "derivatives": str(args.derivatives.resolve())}
        )
        study = study.model_copy(update={"tissue": tissue})
    uses_table = study.tissue.source in {"segment", "table"}
    args.resolved = {
        "table": _resolve(study.tissue.table, path, args.bids_dir) if uses_table else None,
        "basis": None if study.basis.source == "simulate" else _resolve(study.basis.source, path, args.bids_dir),
    }
    if args.level == "participant":
        _check_resolved(args, study)
    return study, path


def _resolve(name: str, study_path: Path | None, bids_dir: Path) -> Path | None:
    """Find a file named in study.toml: absolute, beside study.toml, in the BIDS folder or its code folder."""
    folders = [*([study_path.parent] if study_path else []), bids_dir, bids_dir / "code", Path.cwd()]
    candidates = [Path(name)] if Path(name).is_absolute() else [folder / name for folder in folders]
    return next((candidate.resolve() for candidate in candidates if candidate.exists()), None)


def _check_resolved(args: argparse.Namespace, study: Study) -> None:
    """Refuse settings that name files which are not there."""
    if study.tissue.source == "table" and args.resolved["table"] is None:
        raise StudyError(
            f"the tissue table '{study.tissue.table}' is not there",
            remedy="put it beside study.toml or into the BIDS folder, or give its path in [tissue] table",
            path=args.study,
        )
    if study.basis.source != "simulate" and args.resolved["basis"] is None:
        raise StudyError(
            f"the basis set '{study.basis.source}' is not there",
            remedy='give the path of a .basis file in [basis] source, or "simulate"',
            path=args.study,
        )


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
