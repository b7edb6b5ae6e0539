"""What a user is told when the disk is to blame, and that nothing else is blamed on it."""

from __future__ import annotations

import errno
import os
import shutil

import pytest

from kd_lab.core.errors import FitError, UserError, disk_errors


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_cannot_be_written_is_named_with_its_reason(tmp_path, code):
    with pytest.raises(UserError, match=os.strerror(code)) as told, disk_errors(tmp_path):
        raise OSError(code, os.strerror(code))
    assert str(tmp_path) in str(told.value)


def test_a_library_that_wraps_a_full_disk_is_understood(tmp_path):
    with pytest.raises(UserError, match="No space left"), disk_errors(tmp_path):
        raise Exception('Error while serializing: Io(Os { code: 28, message: "No space left on device" })')
    with pytest.raises(UserError, match="No space left"), disk_errors(tmp_path):
        raise shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")])


def test_torch_that_gives_no_reason_is_understood(tmp_path):
    with pytest.raises(UserError, match="No space left"), disk_errors(tmp_path / "not" / "there"):
        raise RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file")


def test_other_errors_pass_as_they_are(tmp_path):
    for error in (RuntimeError("shapes"), FitError("nan"), KeyError("x"), FileNotFoundError(errno.ENOENT, "gone")):
        with pytest.raises(type(error)) as passed, disk_errors(tmp_path):
            raise error
        assert passed.value is error


def test_a_cache_that_is_a_file_is_told(tmp_path):
    from kd_lab.core.cache import Cache

    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"paths\.cache"):
        Cache(tmp_path / "file").build("kind", {"a": 1}, lambda draft: None)
