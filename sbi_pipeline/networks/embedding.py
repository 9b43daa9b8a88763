"""The contract of an embedding: from the data of one set to numbers that say what matters."""

from __future__ import annotations

from typing import Any

from torch import nn


class Embedding(nn.Module):
    """From standardised data ``(n, *x_shape)`` to summaries ``(n, out_dim)``.

    It is called as ``MyEmbedding(x_shape, **options)``, the options being keyword arguments of its
    own, and its ``forward`` with the data; of sets with a mask also with that, ``(n, events)``,
    true where there is an event. Where elements may be missing, the shape is that of `with_gaps`.

    Attributes:
        out_dim: Number of summaries; set by ``__init__``.
    """

    out_dim: int

    @classmethod
    def check(cls, x_shape: tuple[int, ...] | None, **options: Any) -> None:
        """Refuse options that contradict each other, or data of another shape.

        Args:
            x_shape: Shape of one data set; None where it is not known before simulating.
            **options: All of them; those that are not given at their defaults.

        Raises:
            ValueError: They do not fit; says what was wanted.
        """

    @staticmethod
    def scale_shape(x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the scales of data: 1 along each axis of like elements."""
        return x_shape

    @staticmethod
    def with_gaps(x_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of data and their mask together, which is what ``forward`` then sees.

        Values, 0 where they are missing, and after them 1 for what is there and 0 for what is not.
        Embeddings of sets get a mask of events instead.
        """
        return (2, *x_shape)
