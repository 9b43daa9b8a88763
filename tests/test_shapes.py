import numpy as np
import pytest

from sbi_pipeline.observations import check_shape, fit_shape
from sbi_pipeline.shapes import as_sets, fits, fitted_to


@pytest.mark.parametrize(
    ("found", "wanted", "fit"),
    [
        ((), (1,), True),
        ((1, 28, 28), (28, 28), True),
        ((28, 28, 1), (1, 28, 28), True),
        ((28, 1, 28), (28, 28), True),
        ((2, 3), (3, 2), False),
        ((6,), (2, 3), False),
    ],
)
def test_shapes_fit_but_for_axes_of_length_one(found, wanted, fit):
    assert fits(found, wanted) is fits(wanted, found) is fit


@pytest.mark.parametrize(
    ("found", "x_shape", "made"),
    [
        ((20,), (1,), (20, 1)),
        ((1, 20), (1,), (20, 1)),  # a line of a file
        ((20, 3), (3,), (20, 3)),
        ((3,), (3,), (1, 3)),
        ((3, 1), (3,), (1, 3)),
        ((20, 1, 3), (3,), (20, 3)),
        ((20, 3), (3, 1), (20, 3, 1)),
        ((3, 20), (3,), None),
        ((20, 2, 3), (3,), None),
    ],
)
def test_events_are_along_a_first_axis(found, x_shape, made):
    fitted = fitted_to(np.arange(np.prod(found)).reshape(found), x_shape, events=True)
    assert (None if fitted is None else fitted.shape) == made


@pytest.mark.parametrize(
    ("found", "x_shape", "events", "made", "one"),
    [
        ((3,), (3,), False, (1, 3), True),
        ((5, 3), (3,), False, (5, 3), False),
        ((3, 1), (3,), False, (1, 3), True),
        ((1, 3), (3,), False, (1, 3), False),
        ((), (1,), False, (1, 1), True),
        ((28, 28), (1, 28, 28), False, (1, 1, 28, 28), True),
        ((1, 28, 28), (28, 28), False, (1, 28, 28), False),
        ((28, 28, 1), (28, 28), False, (1, 28, 28), True),
        ((5, 28, 28, 1), (1, 28, 28), False, (5, 1, 28, 28), False),
        ((20,), (1,), True, (1, 20, 1), True),
        ((4, 20, 3), (3,), True, (4, 20, 3), False),
    ],
)
def test_one_data_set_or_several(found, x_shape, events, made, one):
    sets, single = as_sets(np.zeros(found), x_shape, events)
    assert (sets.shape, single) == (made, one)


@pytest.mark.parametrize(
    ("found", "x_shape", "said"),
    [
        ((5,), (1,), "x has shape .5,.; the estimator learnt data sets of .1,."),
        ((5, 28, 28), (1, 28, 28), "or several of them along a first axis"),
        ((1, 1, 1), (1,), "which may be one data set or several"),
        ((0, 3), (3,), "wanted x of that shape"),
    ],
)
def test_what_is_neither_or_both_is_refused(found, x_shape, said):
    with pytest.raises(ValueError, match=said):
        as_sets(np.zeros(found), x_shape, events=False)


def test_observations_and_objects_of_another_shape_are_refused():
    assert check_shape("a.npy", np.ones((1, 4, 4)), (4, 4), several=False).shape == (4, 4)
    assert fit_shape("t.fits", np.ones((7, 4)), (1, 4)).shape == (7, 1, 4)
    with pytest.raises(ValueError, match="channels come first"):
        check_shape("a.npy", np.ones((4, 4, 3)), (3, 4, 4), several=False)
    with pytest.raises(ValueError, match=r"t\.fits: an object has data of shape \(4,\)"):
        fit_shape("t.fits", np.ones((7, 4)), (5,))
