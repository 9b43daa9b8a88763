import numpy as np

from sbi_pipeline import streams


def test_indexed_stream_equals_a_fresh_one_whatever_came_before():
    at = streams.indexed(3, "simulate")
    for index in (5, 0, 2**40, 5):
        rng = at(index)
        fresh = streams.generator(3, "simulate", index)
        np.testing.assert_array_equal(rng.normal(size=5), fresh.normal(size=5))
        rng.integers(0, 9, dtype=np.uint32)  # leaves half a word in the buffer


def test_uniforms_do_not_depend_on_how_they_are_asked_for():
    whole = streams.uniforms(1, "prior", 0, 5000, 3)
    parts = [
        streams.uniforms(1, "prior", a, b - a, 3) for a, b in [(0, 7), (7, 1999), (1999, 5000)]
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_streams_differ_by_seed_stage_and_index():
    firsts = {
        streams.generator(seed, stage, index).random()
        for seed in (0, 1)
        for stage in ("prior", "simulate")
        for index in (0, 1, 2)
    }
    assert len(firsts) == 12


def test_streams_stay_what_they_were():
    # A stored campaign cannot grow if these change: see the format version in `store`.
    assert streams.generator(1, "simulate", 7).integers(2**32) == 949766599
    assert streams.uniforms(1, "prior", 1500, 1, 1)[0, 0] == 0.2714752346133972
