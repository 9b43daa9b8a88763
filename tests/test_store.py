import os

import numpy as np
import pytest

from sbi_pipeline import store
from sbi_pipeline.store import Layout, Rows

NAMES = ("a", "b")
LAYOUT = Layout("key", 0, NAMES, (3,), "float64", 100)


def make_rows(n, seed=0, x_shape=(3,), dtype="float64"):
    rng = np.random.default_rng(seed)
    x = (10 * rng.normal(size=(n, *x_shape))).astype(dtype)
    return Rows(rng.normal(size=(n, 2)), x, np.zeros(n, np.uint8), np.ones(n, np.float32))


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "shard-0.zarr"
    store.create(path, LAYOUT, 250)
    return path


def test_prior_comes_back_and_is_replaced_whole(tmp_path):
    path = tmp_path / "prior-3.zarr"
    drawn = np.random.default_rng(0).normal(size=(25_000, 2))
    for n in (25_000, 10):
        store.write_prior(path, drawn[:n], NAMES, key="k", start=7)
        parameters, names, attrs = store.read_prior(path)
        np.testing.assert_array_equal(parameters, drawn[:n])
        assert (names, attrs["key"], attrs["start"]) == (NAMES, "k", 7)
        assert store.prior_rows(path) == n
    assert [file.name for file in tmp_path.iterdir()] == ["prior-3.zarr"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "complex128"])
@pytest.mark.parametrize("x_shape", [(), (3,), (2, 4)])
def test_rows_come_back_bit_by_bit(tmp_path, dtype, x_shape):
    path = tmp_path / "shard-0.zarr"
    store.create(path, Layout("k", 0, NAMES, x_shape, dtype, 100), 250)
    rows = make_rows(50, x_shape=x_shape, dtype=dtype)
    checksum = store.write_rows(path, 200, rows)
    back = store.read_rows(path, 200, 250)
    assert back.x.tobytes() == rows.x.tobytes()
    assert back.checksum() == checksum == rows.checksum()
    layout = store.read_layout(path)
    assert (layout.x_shape, np.dtype(layout.x_dtype)) == (x_shape, np.dtype(dtype))


def test_zeros_with_a_sign_survive(shard):
    # Equal to a fill value of 0, such a chunk would not be written, and come back without sign.
    rows = make_rows(100)
    rows.x[:] = -0.0
    assert store.write_rows(shard, 0, rows) == store.read_rows(shard, 0, 100).checksum()


def test_growing_keeps_rows_and_replaces_chunk_files(shard):
    first, second = make_rows(50, 1), make_rows(50, 2)
    store.write_rows(shard, 200, first)
    file = shard / "x" / "c" / "2" / "0"
    inode = os.stat(file).st_ino
    store.grow(shard, 300)
    store.write_rows(shard, 250, second)
    assert store.read_rows(shard, 200, 250).checksum() == first.checksum()
    assert store.read_rows(shard, 250, 300).checksum() == second.checksum()
    # A file written in place could be torn by a kill. (Zarr before 3.0.8 wrote in place.)
    assert os.stat(file).st_ino != inode
    store.grow(shard, 10)  # never shorter: that would delete chunks
    assert store.read_rows(shard, 250, 300).checksum() == second.checksum()


def test_rows_never_cross_a_chunk(shard):
    with pytest.raises(ValueError, match="rows 50 to 150 cross a chunk of 100"):
        store.write_rows(shard, 50, make_rows(100))


@pytest.mark.parametrize("damage", ["flip", "cut"])
@pytest.mark.parametrize("array", ["parameters", "x", "status"])
def test_damage_is_found(shard, array, damage):
    store.write_rows(shard, 0, make_rows(100))
    file = next(path for path in (shard / array / "c").rglob("*") if path.is_file())
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    file.write_bytes(content if damage == "flip" else content[:-10])
    with pytest.raises(ValueError, match=r"shard-0\.zarr, chunk 0, rows 0 to 100: .*repair"):
        store.read_rows(shard, 0, 100)
    with pytest.raises(ValueError, match=r"shard-0\.zarr, chunk 0, rows 50 to 60: .*repair"):
        store.write_rows(shard, 50, make_rows(10))  # reads what else is in the chunk


def test_leftovers_are_swept(shard):
    leftover = shard / "x" / "c" / "0" / "0.1234.partial"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    assert store.sweep(shard) == 1
    assert not leftover.exists()


def test_arrays_without_a_layout_do_not_count(tmp_path):
    assert store.read_layout(tmp_path / "none.zarr") is None
    path = tmp_path / "shard-0.zarr"
    store.create(path, LAYOUT, 10)
    assert store.read_layout(path) == LAYOUT
    (path / "zarr.json").write_text('{"attributes":{},"zarr_format":3,"node_type":"group"}')
    assert store.read_layout(path) is None


def test_other_formats_are_refused(shard, monkeypatch):
    monkeypatch.setattr(store, "FORMAT", 2)
    with pytest.raises(ValueError, match="has format 1, this version reads 2"):
        store.read_layout(shard)


def test_a_store_that_is_not_there_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"prior-0\.zarr is no Zarr store"):
        store.read_prior(tmp_path / "prior-0.zarr")
