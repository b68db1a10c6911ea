import pickle

import pytest

from mrs_pipeline.errors import BasisError, InputError, MrsError, StudyError


def test_an_error_names_file_problem_and_remedy():
    error = InputError("the file is empty", remedy="copy it again from the scanner", path="a/b.SDAT")
    assert str(error) == "a/b.SDAT: the file is empty. To fix it: copy it again from the scanner."


@pytest.mark.parametrize("kind", [MrsError, InputError, StudyError, BasisError])
def test_errors_survive_a_process_pool(kind):
    error = pickle.loads(pickle.dumps(kind("x", remedy="y", path="z")))  # noqa: S301  made one line above
    assert type(error) is kind
    assert (error.problem, error.remedy, str(error.path)) == ("x", "y", "z")


def test_a_file_that_may_not_be_written_is_no_unexpected_error():
    from mrs_pipeline.interfaces.base import describe_problem

    found = describe_problem(PermissionError(13, "Permission denied", "/study/out/group/group.tsv"))
    assert found["kind"] == "InputError"
    assert found["problem"] == "the operating system refused a file (Permission denied)"
    assert found["file"] == "group.tsv"
    assert "may be written" in str(found["remedy"])
    assert describe_problem(OSError("no file is named"))["problem"] == "unexpected OSError: no file is named"
