"""Nipype interfaces of the conversion: run the converters, stage their results, publish into the dataset."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, CommandLine, CommandLineInputSpec, File, TraitedSpec, traits

from mrs_pipeline.errors import MrsError
from mrs_pipeline.interfaces.base import MrsInterface
from mrs_pipeline.interfaces.convert_jobs import ConvertJob, Problem, job_from_dict, prepare_command, stage

RESULTS = "results.json"


class PrepareInput(BaseInterfaceInputSpec):
    """Jobs of one chunk."""

    jobs_file = File(exists=True, mandatory=True, desc="JSON list of conversion jobs")


class PrepareOutput(TraitedSpec):
    """Command lines, and the folder they write to."""

    commands_file = File(exists=True)
    folder = traits.Str()


class PrepareConverters(MrsInterface):
    """Write the converters' command lines for a chunk of jobs."""

    input_spec = PrepareInput
    output_spec = PrepareOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        commands = []
        problems: list[dict[str, Any]] = []
        for job in read_jobs(Path(self.inputs.jobs_file)):
            try:
                argv = prepare_command(job, cwd / "converted")
            except MrsError as error:
                problems.append(asdict(problem_of(job, error)))
                continue
            if argv is not None:
                commands.append({"id": job.id, "argv": argv})
        (cwd / "problems.json").write_text(json.dumps(problems), encoding="utf-8")
        path = cwd / "commands.json"
        path.write_text(json.dumps(commands, indent=1), encoding="utf-8")
        return {"commands_file": path, "folder": str(cwd)}


class ConvertersInput(CommandLineInputSpec):
    """Command lines of one chunk."""

    commands_file = File(exists=True, mandatory=True, argstr="%s", position=0, desc="JSON list of id and argv")
    results_file = File(RESULTS, usedefault=True, argstr="%s", position=1, desc="where exit codes are written")


class ConvertersOutput(TraitedSpec):
    """Exit codes and last words."""

    results_file = File(exists=True)


class RunConverters(CommandLine):
    """spec2nii and dcm2niix on a chunk of scanner files, in one process of its own."""

    _cmd = f"{sys.executable} -m mrs_pipeline.interfaces.convert_batch"
    input_spec = ConvertersInput
    output_spec = ConvertersOutput

    def _list_outputs(self) -> dict[str, Any]:
        return {"results_file": str(Path.cwd() / self.inputs.results_file)}


class StageInput(BaseInterfaceInputSpec):
    """What the converters did with a chunk."""

    jobs_file = File(exists=True, mandatory=True, desc="JSON list of conversion jobs")
    folder = traits.Str(mandatory=True, desc="folder of the prepared chunk")
    results_file = File(exists=True, mandatory=True, desc="exit codes of the converters")


class StageOutput(TraitedSpec):
    """Staged files and problems, as JSON."""

    staged_file = File(exists=True)


class StageFiles(MrsInterface):
    """Turn converted files into BIDS files in a staging folder; a failing file is a line in the result, not a crash."""

    input_spec = StageInput
    output_spec = StageOutput

    def _work(self, cwd: Path) -> dict[str, Any]:
        folder = Path(self.inputs.folder)
        results = json.loads(Path(self.inputs.results_file).read_text(encoding="utf-8"))
        problems = json.loads((folder / "problems.json").read_text(encoding="utf-8"))
        failed = {problem["job"] for problem in problems}
        staged: list[dict[str, Any]] = []
        for job in read_jobs(Path(self.inputs.jobs_file)):
            if job.number in failed:
                continue
            try:
                staged += [
                    asdict(item) for item in stage(job, folder / "converted", results.get(job.id), cwd / "staged")
                ]
            except MrsError as error:
                problems.append(asdict(problem_of(job, error)))
            except Exception as error:  # noqa: BLE001  one file must never stop the others
                problems.append(asdict(_unexpected(job, error)))
        path = cwd / "staged.json"
        path.write_text(json.dumps({"staged": staged, "problems": problems}, indent=1), encoding="utf-8")
        return {"staged_file": path}


def read_jobs(path: Path) -> list[ConvertJob]:
    """Return the jobs of a chunk."""
    return [job_from_dict(item) for item in json.loads(path.read_text(encoding="utf-8"))]


def problem_of(job: ConvertJob, error: MrsError) -> Problem:
    """Return an error as a line of the conversion table."""
    return Problem(job.number, error.problem, error.remedy)


def _unexpected(job: ConvertJob, error: Exception) -> Problem:
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return Problem(job.number, f"unexpected {what}", "report this; the other files are not affected")
