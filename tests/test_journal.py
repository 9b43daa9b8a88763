import json

import pytest

from sbi_pipeline import journal
from sbi_pipeline.journal import FILE, Journal

RECORDS = [{"kind": "rows", "start": n, "stop": n + 10, "text": 'a "quoted" µ'} for n in (0, 10)]


@pytest.fixture
def shard(tmp_path):
    with Journal(tmp_path) as ledger:
        for record in RECORDS:
            ledger.append(record)
    return tmp_path


def test_records_come_back_as_json_lines(shard):
    assert journal.read(shard) == RECORDS
    lines = (shard / FILE).read_text().splitlines()
    assert [json.loads(line)["start"] for line in lines] == [0, 10]


def test_every_torn_tail_is_dropped_and_written_over(shard):
    whole = (shard / FILE).read_bytes()
    second = whole.index(b"\n") + 1
    for length in range(second, len(whole)):
        (shard / FILE).write_bytes(whole[:length])
        assert journal.read(shard) == RECORDS[:1]
        with Journal(shard) as ledger:
            ledger.append(RECORDS[1])
        assert (shard / FILE).read_bytes() == whole


def test_every_flipped_byte_is_noticed(shard):
    whole = (shard / FILE).read_bytes()
    for position in range(whole.index(b"\n")):
        changed = bytearray(whole)
        changed[position] ^= 1
        (shard / FILE).write_bytes(changed)
        assert journal.read(shard) == RECORDS[1:]


def test_later_records_of_the_same_rows_replace_earlier_ones():
    again = {"kind": "rows", "start": 0, "stop": 10, "checksum": "new"}
    done = journal.committed([RECORDS[1], RECORDS[0], {"kind": "run"}, again])
    assert list(done) == [0, 10]
    assert done[0] == again


def test_no_journal_is_an_empty_one(tmp_path):
    assert journal.read(tmp_path) == []
