"""The group level of ``mrs-pipeline run``: checks of the request, the workflow, and what is said at the end."""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrs_pipeline import errors
from mrs_pipeline.bids import GROUP_FILES
from mrs_pipeline.errors import AnalysisError, MrsError, StudyError
from mrs_pipeline.files import read_json, sha256, write_json

if TYPE_CHECKING:
    from mrs_pipeline.workflows.group import GroupRequest


def run_group(request: GroupRequest) -> int:
    """Run the group level and return the exit code: 0 when everything asked for was written.

    Raises
    ------
    StudyError
        The request, the settings or the allocation is wrong (exit code 2).
    MrsError
        The group level cannot be made from what is there (exit code 1).
    """
    from mrs_pipeline.workflows.group import init_group_wf

    _check_files(request)
    _check_request(request)
    request.out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mrs-group-") as folder:
        workflow = init_group_wf(request=request)
        workflow.base_dir = folder
        _run(workflow, Path(folder))
        _warn(Path(folder))
    if request.allocation is not None:
        _record_unblinding(request.out_dir, request.allocation, request.reference_arm)
    _say(request)
    return 0


def _check_files(request: GroupRequest) -> None:
    """Refuse files and folders that are not there."""
    if not request.bids_dir.exists():
        raise StudyError("no such file or folder", remedy="check the path", path=request.bids_dir)
    for flag, path in (("--allocation", request.allocation), ("--concentrations", request.concentrations)):
        if path is not None and not path.is_file():
            raise StudyError("there is no such file", remedy=f"give a tab-separated table with {flag}", path=path)


def _check_request(request: GroupRequest) -> None:
    """Refuse requests that contradict themselves."""
    allocation = request.allocation
    if request.freezes and allocation is not None:
        raise StudyError(
            "--freeze and --allocation in one command",
            remedy="freeze first, blind to the arms; then run again with --allocation",
        )
    if allocation is None and request.reference_arm is not None:
        raise StudyError(
            "--reference-arm without --allocation", remedy="give the allocation file, or leave --reference-arm out"
        )
    if allocation is not None and _inside(allocation, request.bids_dir, request.out_dir):
        raise StudyError(
            "the allocation file lies inside the data, where it would unblind whoever looks",
            remedy="keep it outside the BIDS and output folders",
            path=allocation,
        )
    if len(request.study.study.visits) < 2:
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
    path = out_dir / GROUP_FILES["unblinding"]
    earlier = read_json(path)["records"] if path.exists() else []
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "allocation_sha256": sha256(allocation),
        "reference_arm": reference_arm,
        "freeze": read_json(out_dir / GROUP_FILES["analysis_set"])["hash"],
    }
    write_json({"records": [*earlier, record]}, path)


def _say(request: GroupRequest) -> None:
    """Say where the results are."""
    out_dir = request.out_dir
    print(f"group tables: {out_dir / 'group'}")
    if request.freezes:
        frozen = out_dir / GROUP_FILES["analysis_set"]
        print(f"analysis set frozen: {frozen} (sha256 {read_json(frozen)['hash']})")
        if (out_dir / GROUP_FILES["unblinding"]).exists():
            print("warning: group/unblinded holds results of an earlier comparison", file=sys.stderr)
    if request.allocation is not None:
        print(f"arm comparison: {out_dir / GROUP_FILES['trial_report']}")
