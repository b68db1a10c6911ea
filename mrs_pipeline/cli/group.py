"""The group level of ``mrs-pipeline run``: checks of the request, the workflow, and what is said at the end."""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mrs_pipeline import errors
from mrs_pipeline.config import Study
from mrs_pipeline.errors import AnalysisError, MrsError, StudyError


def run_group(
    bids_dir: Path,
    out_dir: Path,
    study: Study,
    *,
    freeze: bool = False,
    refreeze: str | None = None,
    allocation: Path | None = None,
    reference_arm: str | None = None,
    concentrations: Path | None = None,
) -> int:
    """Run the group level.

    Parameters
    ----------
    bids_dir, out_dir
        BIDS folder and output folder.
    study
        Settings.
    freeze, refreeze
        Freeze the analysis set; the reason for replacing an existing freeze (implies `freeze`).
    allocation, reference_arm
        Allocation file and the name of arm a; needs a freeze that still holds.
    concentrations
        Concentrations table from elsewhere.

    Returns
    -------
    int
        0 when everything asked for was written.

    Raises
    ------
    StudyError
        The request, the settings or the allocation is wrong (exit code 2).
    MrsError
        The group level cannot be made from what is there (exit code 1).
    """
    freeze = freeze or refreeze is not None
    _check_request(
        bids_dir,
        out_dir,
        study,
        freeze=freeze,
        allocation=allocation,
        reference_arm=reference_arm,
        concentrations=concentrations,
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    from mrs_pipeline.workflows.group import init_group_wf

    with tempfile.TemporaryDirectory(prefix="mrs-group-") as folder:
        workflow = init_group_wf(
            bids_dir=bids_dir.resolve(),
            out_dir=out_dir.resolve(),
            study=study.model_dump_json(),
            freeze=freeze,
            refreeze=refreeze,
            compare=allocation is not None or (freeze and study.analysis.design == "single-arm"),
            allocation=None if allocation is None else allocation.resolve(),
            reference_arm=reference_arm,
            concentrations=None if concentrations is None else concentrations.resolve(),
        )
        workflow.base_dir = folder
        _run(workflow, Path(folder))
        _warn(Path(folder))
    if allocation is not None:
        _record_unblinding(out_dir, allocation, reference_arm)
    _say(out_dir, frozen=freeze, compared=allocation is not None)
    return 0


def _check_request(
    bids_dir: Path,
    out_dir: Path,
    study: Study,
    *,
    freeze: bool,
    allocation: Path | None,
    reference_arm: str | None,
    concentrations: Path | None,
) -> None:
    """Refuse requests that contradict themselves."""
    if not bids_dir.exists():
        raise StudyError("no such file or folder", remedy="check the path", path=bids_dir)
    for flag, path in (("--allocation", allocation), ("--concentrations", concentrations)):
        if path is not None and not path.is_file():
            raise StudyError("there is no such file", remedy=f"give a tab-separated table with {flag}", path=path)
    if freeze and allocation is not None:
        raise StudyError(
            "--freeze and --allocation in one command",
            remedy="freeze first, blind to the arms; then run again with --allocation",
        )
    if allocation is None and reference_arm is not None:
        raise StudyError(
            "--reference-arm without --allocation", remedy="give the allocation file, or leave --reference-arm out"
        )
    if allocation is not None and _inside(allocation, bids_dir, out_dir):
        raise StudyError(
            "the allocation file lies inside the data, where it would unblind whoever looks",
            remedy="keep it outside the BIDS and output folders",
            path=allocation,
        )
    if len(study.study.visits) < 2:
        raise StudyError(
            "[study] visits names fewer than two visits", remedy="name the baseline and at least one follow-up session"
        )


def _inside(path: Path, *folders: Path) -> bool:
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _run(workflow: Any, folder: Path) -> None:  # noqa: ANN401  nipype is untyped
    """Run the workflow; a node's own error comes out as itself."""
    from mrs_pipeline.workflows.config import configure_nipype, run_linear

    configure_nipype(folder / "crash", stop_on_first_crash=True)
    try:
        run_linear(workflow)
    except Exception as failure:
        problems = sorted(folder.rglob("problem.json"))
        if not problems:
            raise
        raise _error_of(json.loads(problems[0].read_text(encoding="utf-8"))) from failure


def _warn(folder: Path) -> None:
    """Print what the blinded state warned about."""
    for path in sorted(folder.rglob("warnings.json")):
        for sentence in json.loads(path.read_text(encoding="utf-8")):
            print(f"warning: {sentence}", file=sys.stderr)


def _error_of(problem: dict[str, Any]) -> MrsError:
    """Rebuild the error a node wrote down."""
    kind = getattr(errors, str(problem["kind"]), None)
    if not (isinstance(kind, type) and issubclass(kind, MrsError)):
        return AnalysisError(f"{problem['problem']}\n{problem['details']}", remedy="report this with the details above")
    return kind(problem["problem"], remedy=problem["remedy"], path=problem["file"])


def _record_unblinding(out_dir: Path, allocation: Path, reference_arm: str | None) -> None:
    """Append when, with which allocation and on which freeze the arms were compared (the only date)."""
    from mrs_pipeline.stats import read_json, sha256, write_json

    path = out_dir / "group" / "unblinded" / "unblinding.json"
    earlier = read_json(path)["records"] if path.exists() else []
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "allocation_sha256": sha256(allocation),
        "reference_arm": reference_arm,
        "freeze": read_json(out_dir / "group" / "analysis-set.json")["hash"],
    }
    write_json({"records": [*earlier, record]}, path)


def _say(out_dir: Path, *, frozen: bool, compared: bool) -> None:
    """Say where the results are."""
    from mrs_pipeline.stats import read_json

    group = out_dir / "group"
    print(f"group tables: {group}")
    if frozen:
        digest = read_json(group / "analysis-set.json")["hash"]
        print(f"analysis set frozen: {group / 'analysis-set.json'} (sha256 {digest})")
        if (group / "unblinded" / "unblinding.json").exists():
            print("warning: group/unblinded holds results of an earlier comparison", file=sys.stderr)
    if compared:
        print(f"arm comparison: {group / 'unblinded' / 'trial-report.html'}")
