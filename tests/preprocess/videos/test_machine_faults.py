"""What is wrong with the machine ends a run, and rejects no file."""

from __future__ import annotations

import errno

import pytest

from preprocess.videos.records import Unusable
from preprocess.videos.stages import machine_faults


def test_files_that_cannot_be_opened_for_want_of_descriptors_are_not_rejected():
    with pytest.raises(OSError) as told, machine_faults():
        try:
            raise OSError(errno.EMFILE, "Too many open files")
        except OSError as error:
            raise Unusable("not_video", "no video or sound, or damaged") from error
    assert told.value.errno == errno.EMFILE and "ulimit -n" in str(told.value)


def test_what_is_wrong_with_a_file_passes_through():
    with pytest.raises(Unusable), machine_faults():
        raise Unusable("not_video", "text")
