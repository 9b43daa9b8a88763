import json

import pytest

from sbi_pipeline.storage import journal
from sbi_pipeline.storage.journal import FILE, Journal

RECORDS = [{"kind": "rows", "start": n, "stop": n + 10, "text": 'a "quoted" µ'} for n in (0, 10)]


@pytest.fixture
def shard(tmp_path):
    with Journal(tmp_path) as ledger:
        for record in RECORDS:
            ledger.append(record)
    return tmp_path


def test_records_come_back_as_json_lines(shard):
    assert journal.read_records(shard) == RECORDS
    lines = (shard / FILE).read_text().splitlines()
    assert [json.loads(line)["start"] for line in lines] == [0, 10]


def test_every_torn_tail_is_dropped_and_written_over(shard):
    whole = (shard / FILE).read_bytes()
    second = whole.index(b"\n") + 1
    for length in range(second, len(whole)):
        (shard / FILE).write_bytes(whole[:length])
        assert journal.read_records(shard) == RECORDS[:1]
        with Journal(shard) as ledger:
            ledger.append(RECORDS[1])
        assert (shard / FILE).read_bytes() == whole


def test_every_flipped_byte_is_noticed(shard):
    whole = (shard / FILE).read_bytes()
    for position in range(whole.index(b"\n")):
        changed = bytearray(whole)
        changed[position] ^= 1
        (shard / FILE).write_bytes(changed)
        assert journal.read_records(shard) == RECORDS[1:]


def spans(*pairs):
    return [{"kind": "rows", "start": a, "stop": b, "n": n} for n, (a, b) in enumerate(pairs)]


def test_later_records_of_the_same_rows_replace_earlier_ones():
    records = [{"kind": "run"}, *spans((10, 20), (0, 5), (5, 10), (30, 40), (0, 10), (10, 20))]
    done = journal.committed(records)
    assert [(r["start"], r["stop"], r["n"]) for r in done.values()] == [
        (0, 10, 4),
        (10, 20, 5),
        (30, 40, 3),
    ]


def test_a_record_replaced_in_part_does_not_hold():
    done = journal.committed(spans((0, 10), (10, 20), (5, 12)))
    assert list(done) == [5]


def test_no_journal_is_an_empty_one(tmp_path):
    assert journal.read_records(tmp_path) == []
