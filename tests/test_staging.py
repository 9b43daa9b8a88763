"""Simulations copied to a disk of the node: the same rows, and nothing left behind."""

import errno
import os
import shutil

import numpy as np
import pytest
from shard_for_tests import make, manifest_of

from sbi_pipeline.storage import reading
from sbi_pipeline.storage.staging import staged


@pytest.fixture
def manifest(tmp_path):
    make(tmp_path, 300, "NoiseOneByOne", 300, chunk_size=100)
    return manifest_of(tmp_path / "shard-0.zarr", 300)


def test_a_copy_has_the_same_rows_and_is_deleted(manifest, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    here = reading.load_simulations(manifest)
    with staged(manifest, scratch) as near:
        shutil.move(tmp_path / "shard-0.zarr", tmp_path / "away")
        assert near.is_relative_to(scratch)
        np.testing.assert_array_equal(reading.load_simulations(near).x, here.x)
    assert not list(scratch.iterdir())


def test_without_room_the_simulations_are_read_where_they_are(
    manifest, tmp_path, monkeypatch, caplog
):
    def full(source, target, **options):
        (target.parent / "torn").write_text("half a chunk")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copytree", full)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with staged(manifest, scratch) as near:
        assert near == manifest
        assert not list(scratch.rglob("torn"))
    assert "read where they are: [Errno 28]" in caplog.text
