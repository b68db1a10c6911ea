"""Errors a user can act on: which file, what is wrong, what to do."""

from __future__ import annotations

from pathlib import Path


class MrsError(Exception):
    """A problem that stops one scan or one command, said in the user's terms.

    Parameters
    ----------
    problem
        What is wrong, as a clause without a full stop.
    remedy
        What the user can do about it, as an imperative clause without a full stop.
    path
        The file concerned; ``None`` when no single file is to blame.
    """

    def __init__(self, problem: str, *, remedy: str, path: str | Path | None = None) -> None:
        self.problem = problem
        self.remedy = remedy
        self.path = None if path is None else Path(path)
        super().__init__(str(self))

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path is not None else ""
        return f"{where}{self.problem}. To fix it: {self.remedy}."

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by keyword, so that errors survive process pools."""
        return (_rebuild, (type(self), self.problem, self.remedy, self.path))


def _rebuild(cls: type[MrsError], problem: str, remedy: str, path: Path | None) -> MrsError:
    return cls(problem, remedy=remedy, path=path)


class StudyError(MrsError):
    """study.toml, the command line or the allocation file is wrong (exit code 2)."""


class InputError(MrsError):
    """A scanner, BIDS or NIfTI-MRS file cannot be used as it stands."""


class BasisError(MrsError):
    """A basis set is unreadable or does not belong to the scan."""


class FitError(MrsError):
    """A spectrum could not be fitted to a trustworthy end."""


class QuantificationError(MrsError):
    """A concentration cannot be computed from what is there."""


class AnalysisError(MrsError):
    """The group comparison cannot be made or would break its own plan."""


def file_trouble(error: OSError) -> InputError:
    """Say in words which file could not be read or written."""
    return InputError(
        f"the operating system refused a file ({error.strerror or error})",
        remedy="check that the path is right and may be written, and that the disk is not full",
        path=error.filename,
    )
