import json
import os
import shutil

import numpy as np
import pytest

from sbi_pipeline.storage import arrays
from sbi_pipeline.storage.chunks import delete_chunk, delete_partial_files, rebuild, whole_chunks
from sbi_pipeline.storage.layout import Layout, create, read_layout
from sbi_pipeline.storage.prior import prior_rows, read_prior, write_prior
from sbi_pipeline.storage.rows import Rows, grow, read_rows, write_rows

NAMES = ("a", "b")
LAYOUT = Layout("key", 0, NAMES, (3,), "float64", 100)


def make_rows(n, seed=0, x_shape=(3,), dtype="float64"):
    rng = np.random.default_rng(seed)
    x = (10 * rng.normal(size=(n, *x_shape))).astype(dtype)
    return Rows(rng.normal(size=(n, 2)), x, np.zeros(n, np.uint8), np.ones(n, np.float32))


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "shard-0.zarr"
    create(path, LAYOUT, 250)
    return path


def test_prior_comes_back_and_is_replaced_whole(tmp_path):
    path = tmp_path / "prior-3.zarr"
    drawn = np.random.default_rng(0).normal(size=(25_000, 2))
    for n in (25_000, 10):
        write_prior(path, drawn[:n], NAMES, key="k", start=7)
        parameters, names, attrs = read_prior(path)
        np.testing.assert_array_equal(parameters, drawn[:n])
        assert (names, attrs["key"], attrs["start"]) == (NAMES, "k", 7)
        assert prior_rows(path) == n
    assert [file.name for file in tmp_path.iterdir()] == ["prior-3.zarr"]
    assert sum(file.is_file() for file in tmp_path.rglob("*")) == 3


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "complex128"])
@pytest.mark.parametrize("x_shape", [(), (3,), (2, 4)])
def test_rows_come_back_bit_by_bit(tmp_path, dtype, x_shape):
    path = tmp_path / "shard-0.zarr"
    create(path, Layout("k", 0, NAMES, x_shape, dtype, 100), 250)
    rows = make_rows(50, x_shape=x_shape, dtype=dtype)
    checksum = write_rows(path, 200, rows)
    back = read_rows(path, 200, 250)
    assert back.x.tobytes() == rows.x.tobytes()
    assert back.checksum() == checksum == rows.checksum()
    layout = read_layout(path)
    assert (layout.x_shape, np.dtype(layout.x_dtype)) == (x_shape, np.dtype(dtype))


def test_zeros_with_a_sign_survive(shard):
    # Equal to a fill value of 0, such a chunk would not be written, and come back without sign.
    rows = make_rows(100)
    rows.x[:] = -0.0
    assert write_rows(shard, 0, rows) == read_rows(shard, 0, 100).checksum()


def test_growing_keeps_rows_and_replaces_chunk_files(shard):
    first, second = make_rows(50, 1), make_rows(50, 2)
    write_rows(shard, 200, first)
    file = shard / "x" / "c" / "2" / "0"
    inode = os.stat(file).st_ino
    grow(shard, 300)
    write_rows(shard, 250, second)
    assert read_rows(shard, 200, 250).checksum() == first.checksum()
    assert read_rows(shard, 250, 300).checksum() == second.checksum()
    # A file written in place could be torn by a kill. (Zarr before 3.0.8 wrote in place.)
    assert os.stat(file).st_ino != inode
    grow(shard, 10)  # never shorter: that would delete chunks
    assert read_rows(shard, 250, 300).checksum() == second.checksum()


def test_rows_never_cross_a_chunk(shard):
    with pytest.raises(ValueError, match="rows 50 to 150 cross a chunk of 100"):
        write_rows(shard, 50, make_rows(100))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
@pytest.mark.parametrize("array", ["parameters", "x", "status"])
def test_damage_is_found(shard, array, damage):
    write_rows(shard, 0, make_rows(100))
    file = next(path for path in (shard / array / "c").rglob("*") if path.is_file())
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    file.write_bytes({"flip": content, "cut": content[:-10], "empty": b""}[damage])
    with pytest.raises(ValueError, match=r"shard-0\.zarr, chunk 0, rows 0 to 100: .*repair"):
        read_rows(shard, 0, 100)
    with pytest.raises(ValueError, match=r"shard-0\.zarr, chunk 0, rows 50 to 60: .*repair"):
        write_rows(shard, 50, make_rows(10))  # reads what else is in the chunk


def edited(file, **changes):
    """Change entries of a description as an editor would."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


DESCRIPTIONS = {
    "cut": lambda file: file.write_text(file.read_text()[:-40]),
    "a control character": lambda file: file.write_text(file.read_text().replace("key", "k\ny")),
    "empty": lambda file: file.write_text(""),
    "no mapping": lambda file: file.write_text("[1]"),
    "not text": lambda file: file.write_bytes(b"\xff\xfe\x00"),
}
ARRAY_DESCRIPTIONS = {
    "another kind of node": lambda file: edited(file, node_type="scroll"),
    "unknown dtype": lambda file: edited(file, data_type="float12"),
    "unknown codec": lambda file: edited(file, codecs=[{"name": "zip"}]),
    "another shape": lambda file: edited(file, shape=[250]),
    "other chunks": lambda file: edited(
        file, chunk_grid={"name": "regular", "configuration": {"chunk_shape": [50, 3]}}
    ),
    "a group": lambda file: shutil.copy(file.parents[1] / "zarr.json", file),
    "gone": lambda file: shutil.rmtree(file.parent),
}


@pytest.mark.parametrize(
    ("key", "damage"),
    [("zarr.json", each) for each in DESCRIPTIONS]
    + [("x/zarr.json", each) for each in [*DESCRIPTIONS, *ARRAY_DESCRIPTIONS] if each[:2] != "a "]
    + [("x/zarr.json", "a group")],
)
def test_a_damaged_description_is_named_and_written_anew(shard, key, damage):
    rows = make_rows(100)
    write_rows(shard, 0, rows)
    (DESCRIPTIONS | ARRAY_DESCRIPTIONS)[damage](shard / key)
    with pytest.raises(
        ValueError, match=rf"{key} was damaged or edited .*'sbi-pipeline repair'"
    ) as e:
        read_layout(shard)
    assert "\n" not in str(e.value)
    rebuild(shard, LAYOUT, 250)
    assert read_layout(shard) == LAYOUT
    if damage != "gone":
        assert read_rows(shard, 0, 100).checksum() == rows.checksum()


def test_whole_chunks_are_those_with_all_their_files(shard):
    for start in (0, 100, 200):
        write_rows(shard, start, make_rows(50))
    assert whole_chunks(shard, LAYOUT) == {0, 1, 2}
    (shard / "x" / "c" / "1" / "0").unlink()
    (shard / "status" / "c" / "2.1234.partial").touch()
    (shard / "status" / "c" / "2").unlink()
    assert whole_chunks(shard, LAYOUT) == {0}
    delete_chunk(shard, LAYOUT, 0)
    delete_chunk(shard, LAYOUT, 0)
    assert whole_chunks(shard, LAYOUT) == set()


def test_leftovers_are_swept(shard):
    leftover = shard / "x" / "c" / "0" / "0.1234.partial"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    assert delete_partial_files(shard) == 1
    assert not leftover.exists()


def test_arrays_without_a_layout_do_not_count(tmp_path):
    assert read_layout(tmp_path / "none.zarr") is None
    path = tmp_path / "shard-0.zarr"
    create(path, LAYOUT, 10)
    assert read_layout(path) == LAYOUT
    (path / "zarr.json").write_text('{"attributes":{},"zarr_format":3,"node_type":"group"}')
    assert read_layout(path) is None


def test_other_formats_are_refused(shard, monkeypatch):
    monkeypatch.setattr(arrays, "FORMAT", 2)
    with pytest.raises(ValueError, match="has format 1, this version reads 2"):
        read_layout(shard)


def test_a_store_that_is_not_there_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"prior-0\.zarr is no Zarr store"):
        read_prior(tmp_path / "prior-0.zarr")


@pytest.mark.parametrize("key", ["zarr.json", "parameters/zarr.json", "parameters/c.0.0"])
def test_damaged_parameters_are_drawn_again(tmp_path, key):
    path = tmp_path / "prior-0.zarr"
    write_prior(path, np.ones((10, 2)), NAMES, key="k", start=0)
    (path / key).write_bytes((path / key).read_bytes()[:-5])
    with pytest.raises(
        ValueError, match=r"prior-0\.zarr is damaged .*; delete it and draw it again"
    ):
        read_prior(path)
