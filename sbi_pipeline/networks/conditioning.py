"""What a method is told of the data, and the scale on which it sees the parameters.

Of long vectors a few summaries may stand for the data, see `compression`. For vectors, a linear
regression of z on the data comes first: the method learns the rest, whitened, and is told the
prediction beside the summary of the data. Where elements are missing it is that of
`gapped_regression`, whose scale differs from one data set to the next and is told, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from ..options import INTERNAL, Chosen, Indices
from .compression import Compression, Summaries, choose_summaries, is_long, named
from .conditioned import conditioned_line, regression
from .encoders import (
    Embedded,
    Encoder,
    Transform,
    batched,
    check_embedding,
    choose_embedding,
    choose_encoder,
)
from .gapped_regression import MOST_GAPPED, PerDataSet, with_mask
from .masks import what_masks_tell
from .packing import packed_shape, unpacked
from .regression import GaussianRegression
from .scaling import as_ranks, choose_transform, constant_columns, without_gaps
from .screening import linked_columns

MOST_COLUMNS = 1000  # of a linear regression

FOR_SUMMARIES = ("none", "mlp")
"""Embeddings that take elements without an order."""

Linear = Annotated[bool, Chosen()]
Columns = Annotated[Indices | None, Chosen(("auto", "all"))]
Known = Annotated[int, INTERNAL]


class Conditioner(nn.Module):
    """Summary of x, linear prediction of z, and what that prediction leaves.

    Known conditions, packed with x (`packing`), stand beside its summary and its numbers.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set.
        known: Number of conditions that are known of each.
        transform: Function that each number of x goes through first; ``auto``: by the training
            rows.
        embedding: Network that summarises x; ``auto``: by the shape of x.
        linear: Whether a linear regression of the parameters on x comes first; ``auto``: for
            vectors that are not very long.
        columns: Elements of a vector x that are used, counted from 0; ``auto``: those that
            something links with the parameters; ``all`` or ``null``: all.
        summaries: Linear summaries that stand for x, fitted to training rows; ``auto``: principal
            components of what has more than 500 elements, where they lose nothing; ``null``: none.
        gaps: Whether elements of x may be missing, NaN.
    """

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        known: Known = 0,
        transform: Transform = "none",
        embedding: Embedded = "none",
        linear: Linear = False,
        columns: Columns = None,
        summaries: Summaries = None,
        gaps: Annotated[bool, INTERNAL] = False,
    ) -> None:
        super().__init__()
        self.x_shape, self.known = x_shape, known
        self.columns = columns
        shape = x_shape if columns is None else (len(columns),)
        self.compression: Compression | None = None
        if options := named(summaries):
            self.compression = Compression(shape, theta_dim, transform=transform, **options)
            shape, transform = (self.compression.out_dim,), "none"
        self.encoder = Encoder(shape, transform=transform, embedding=embedding, gaps=gaps)
        told, elements = 2 * known, math.prod(shape)  # conditions and their ranks
        self.linear: GaussianRegression | PerDataSet | None = None
        if linear and gaps and elements <= MOST_GAPPED:
            line = conditioned_line(elements, theta_dim, told)
            self.linear = PerDataSet(elements, theta_dim, line)
        elif linear:
            self.linear = regression(told + elements * (1 + gaps), theta_dim, range(told))
        self.gaps = gaps and not isinstance(self.linear, PerDataSet)
        self.out_dim = self.encoder.out_dim + told
        self.out_dim += 0 if self.linear is None else self.linear.columns

    def _selected(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return known conditions and their ranks, and the part of the data that is used."""
        rows = batched(x, packed_shape(self.known, self.x_shape))
        known, data = unpacked(rows, self.known, self.x_shape)
        told = torch.cat((known, as_ranks(known)), 1)
        return told, data if self.columns is None else data[:, self.columns]

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return known conditions and their ranks, and what the encoder is given of the data."""
        known, data = self._selected(x)
        return known, data if self.compression is None else self.compression(data)

    def _inputs(self, known: Tensor, data: Tensor) -> Tensor:
        """Return what the regression is of, ``(n, elements)``."""
        elements = self.encoder.standardised(data)
        return torch.cat((known, with_mask(elements) if self.gaps else elements), 1)

    def inputs(self, x: Tensor) -> Tensor:
        """Return conditions, their ranks and standardised elements, ``(n, elements)``, of data."""
        return self._inputs(*self._parts(x))

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set scales and regression from training rows, ``(n, theta_dim)``, ``(n, *x_shape)``."""
        known, data = self._selected(x)
        if self.compression is not None:
            data = self.compression.fit_to(z, data)
        self.encoder.fit_scales(data)
        if self.linear is not None:
            self.linear.fit(self._inputs(known, data), z)

    def doubts(self, x: Tensor) -> list[str]:
        """Say how many numbers of data ``(n, *x_shape)`` are below the limit of a logarithm."""
        _, data = self._selected(x)
        if self.compression is not None:
            return self.compression.standardise.doubts(data)
        return self.encoder.doubts(data)

    def forward(self, x: Tensor) -> Tensor:
        """Return the context, ``(n, out_dim)``, for data ``(n, *x_shape)``.

        Its last columns are what the regression tells, if there is one: last its prediction of z.
        """
        known, data = self._parts(x)
        parts = [self.encoder(data), known]
        if self.linear is not None:
            parts.append(self.linear.told(self._inputs(known, data)))
        return torch.cat(parts, -1)

    def _told(self, context: Tensor) -> Tensor:
        """Return the columns of contexts that the regression has told."""
        assert self.linear is not None
        return context[..., -self.linear.columns :]

    def whiten(self, z: Tensor, context: Tensor) -> Tensor:
        """Return what the regression leaves of z, ``(n, theta_dim)``, for paired rows or one."""
        return z if self.linear is None else self.linear.whiten(z, self._told(context))

    def restore(self, rest: Tensor, context: Tensor) -> Tensor:
        """Undo `whiten` for draws ``(m, n, theta_dim)``, given contexts ``(m, out_dim)``."""
        return rest if self.linear is None else self.linear.restore(rest, self._told(context))

    def scales(self, context: Tensor) -> Tensor:
        """Return sds of what the regression leaves, ``(theta_dim,)`` or of each context."""
        assert self.linear is not None
        return self.linear.scales(self._told(context))

    def log_det(self, context: Tensor) -> Tensor | float:
        """Return log |d rest / d z| in nats, one number or ``(n,)``."""
        return 0.0 if self.linear is None else self.linear.log_det(self._told(context))


def check_conditioner(
    x_shape: tuple[int, ...] | None,
    *,
    embedding: str | Mapping[str, Any],
    columns: str | Sequence[int] | None,
    summaries: str | Mapping[str, Any] | None = None,
    **others: Any,
) -> None:
    """Refuse columns that data do not have, and embeddings that do not suit what is left of them.

    Args:
        x_shape: Shape of one data set; None where it is not known.
        embedding: As for `Conditioner`, or ``"auto"``; of a mapping all options.
        columns: As for `Conditioner`, or ``"auto"`` or ``"all"``.
        summaries: As for `Conditioner`, or ``"auto"``.
        **others: Options of which nothing is asked.

    Raises:
        ValueError: See above.
    """
    if not isinstance(columns, str) and columns is not None:
        check_columns(x_shape, columns)
        x_shape = (len(columns),)
    if embedding == "auto" and x_shape is not None and len(x_shape) > 2:
        embedding = "cnn2d"  # as `choose_encoder` does
    if embedding != "auto":
        options = {"name": embedding} if isinstance(embedding, str) else embedding
        if summaries not in ("auto", None) and options["name"] not in FOR_SUMMARIES:
            raise ValueError(
                f"summaries have no order or shape, which {options['name']} wants; take an "
                f"embedding out of {', '.join(FOR_SUMMARIES)}, or none of the summaries"
            )
        check_embedding(x_shape, **options)


def check_columns(x_shape: tuple[int, ...] | None, columns: Sequence[int]) -> None:
    """Refuse columns of what is no vector, and those beyond its end."""
    if x_shape is None:
        return
    if len(x_shape) != 1:
        raise ValueError(f"x has shape {x_shape}; columns are of vectors, so remove them")
    if max(columns) >= x_shape[0]:
        raise ValueError(
            f"columns has {max(columns)}; x has {x_shape[0]} elements, which are counted from 0"
        )


def choose_conditioner(
    z: Tensor, x: Tensor, *, vectors: str = "none", gaps: bool = False, **options: Any
) -> dict[str, Any]:
    """Replace what a conditioner's options leave to be chosen by the choice.

    Args:
        z: Training rows of the parameters, and of known conditions where there are any.
        x: Training rows of the data, ``(n, *x_shape)``.
        vectors: Embedding of few elements, see `encoders.choose_encoder`.
        gaps: Whether elements of x may be missing.
        **options: Those of `Conditioner`, and others, which are passed on; ``linear`` and
            ``columns`` may be ``"auto"``, ``columns`` also ``"all"``.
    """
    plain = x.ndim == 2 and not isinstance(options.get("embedding", "auto"), Mapping)
    columns = options.pop("columns", "auto")
    if columns == "auto":
        columns = "all"
        if plain and not (gaps and what_masks_tell(z, x.isnan()).is_certain):
            constant_columns(x)  # named before they are left out
            columns = linked_columns(z, without_gaps(x))
    if columns not in ("all", None) and len(columns) < x.shape[1]:
        options["columns"], x = list(columns), x[:, columns]
    if gaps:
        options["summaries"] = None  # of all elements
    shape = _summarised(z, x, options)
    if options.setdefault("linear", "auto") == "auto":
        width = math.prod(shape) * (2 if gaps and math.prod(shape) > MOST_GAPPED else 1)
        options["linear"] = len(shape) == 1 and width <= min(MOST_COLUMNS, len(x) // 5)
    if gaps:
        options["gaps"] = True
    if "summaries" not in options:
        return choose_encoder(z, x, vectors=vectors, **options)
    if options.setdefault("embedding", "auto") == "auto":
        options["embedding"] = choose_embedding(shape, vectors)
    return options


def _summarised(z: Tensor, x: Tensor, options: dict[str, Any]) -> tuple[int, ...]:
    """Choose summaries, and the transform before them; return the shape of what is left of x."""
    summaries, shape = options.pop("summaries", "auto"), tuple(x.shape[1:])
    unordered = options.get("embedding", "auto") in ("auto", *FOR_SUMMARIES) and x.ndim <= 3
    if summaries is None or (summaries == "auto" and not (unordered and is_long(x))):
        return shape
    if options.setdefault("transform", "auto") == "auto":
        options["transform"] = choose_transform(x, z)
    if summaries == "auto":
        summaries = choose_summaries(z, x, options["transform"])
    if summaries is None:
        return shape
    options["summaries"] = named(summaries)
    return (Compression(shape, z.shape[1], **options["summaries"]).out_dim,)
