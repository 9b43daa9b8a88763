"""Shapes of data: they fit where they differ by axes of length one, which say nothing."""

from __future__ import annotations

from .types import Array

Shape = tuple[int, ...]


def fits(found: Shape, wanted: Shape) -> bool:
    """Say whether shapes are the same but for axes of length one."""
    return [n for n in found if n != 1] == [n for n in wanted if n != 1]


def fitted_to(x: Array, x_shape: Shape, events: bool) -> Array | None:
    """Return one data set as ``x_shape``, or of events as ``(events, *x_shape)``; None if not one.

    Where ``x_shape`` is one number, a vector is of that many events, whichever way it lies.
    """
    if not events:
        return x.reshape(x_shape) if fits(x.shape, x_shape) else None
    found, wanted = ([n for n in shape if n != 1] for shape in (x.shape, x_shape))
    if found[len(found) - len(wanted) :] != wanted or len(found) > len(wanted) + 1:
        return None
    return x.reshape(-1, *x_shape)


def as_sets(x: Array, x_shape: Shape, events: bool) -> tuple[Array, bool]:
    """Return data sets, ``(m, *x_shape)``, of events ``(m, events, *x_shape)``.

    The number of axes says whether they are several. Where it is that of neither, one of the two
    must fit, and not both.

    Args:
        x: One data set, or several along a first axis.
        x_shape: Of one, or of one event.
        events: Whether a data set is several events.

    Returns:
        The data sets, and whether it is one, without an axis for several.

    Raises:
        ValueError: It is neither, or may be both.
    """
    axes = len(x_shape) + events
    one = x.ndim >= events and fits(x.shape[events:], x_shape)
    several = x.ndim > events and x.ndim != axes and fits(x.shape[events + 1 :], x_shape)
    if x.ndim == axes + 1 and several:
        one = False
    if one == several or not x.size:
        called = "(events, ...) of " if events else ""
        raise ValueError(
            f"x has shape {x.shape}{', which may be one data set or several' if one else ''}; the "
            f"estimator learnt data sets of {called}{x_shape}: wanted x of that shape, or several "
            "of them along a first axis"
        )
    first = x.shape[: events + several]
    return x.reshape((1, *first, *x_shape) if one else (*first, *x_shape)), one
