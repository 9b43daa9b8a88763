import pytest

from sbi_pipeline.campaigns.first_rows import CHUNK_BYTES, CHUNK_ROWS, CHUNKS, Shape, chunk_rows


def shape(seconds, numbers=10):
    return Shape((numbers,), "float64", seconds)


@pytest.mark.parametrize(
    ("seconds", "rows", "workers", "least", "most"),
    [
        (0.01, 100_000, 2, 100, 200),  # 1 to 2 s a task
        (0.01, 400, 4, 10, 25),  # few rows: at least four tasks a worker
        (0.001, 400, 8, 100, 100),  # but none below a tenth of a second
        (60.0, 1000, 2, 1, 1),  # dear rows: one a task
        (1.0, 100_000, 2, 100_000 // CHUNKS, 100_000 // CHUNKS),  # not too many files
        (0.0, 5000, 1, CHUNK_ROWS, CHUNK_ROWS),  # free rows: room to grow
    ],
)
def test_a_chunk_is_one_to_two_seconds_of_work(seconds, rows, workers, least, most):
    assert least <= chunk_rows(shape(seconds), 2, rows, workers, None) <= most


def test_a_chunk_fits_into_memory_and_holds_whole_blocks():
    assert chunk_rows(shape(1e-6, 10_000), 2, 10**7, 1, None) * 80_000 <= CHUNK_BYTES
    for rows in (10_000, 123_000, 10**6):
        size = chunk_rows(shape(1e-7), 2, rows, 2, 1000)
        assert size % 1000 == 0
    assert chunk_rows(shape(10.0), 2, 5000, 2, 1000) == 1000


def test_chunks_of_a_shard_are_even():
    size = chunk_rows(shape(1e-7), 2, 1_010_000, 1, 1000)
    number = -(-1_010_000 // size)
    assert number * size - 1_010_000 < number * 1000
