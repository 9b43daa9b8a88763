"""Encoders: from raw data to the context of a network, standardised and summarised."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from ..options import INTERNAL, Chosen, OneOf, Passes, Takes
from ..registry import EMBEDDINGS, load_part
from .embedding import Embedding
from .scaling import TRANSFORMS, Standardise, as_floats, choose_transform, constant_columns


def embed(
    x_shape: tuple[int, ...],
    *,
    name: Annotated[str, OneOf(EMBEDDINGS)],
    mask: bool = False,
    mixed: bool = False,
    gaps: Annotated[bool, INTERNAL] = False,
    **options: Annotated[Any, Passes(EMBEDDINGS, by="name", given=1)],
) -> tuple[Embedding, tuple[int, ...]]:
    """Make an embedding; return it and the shape of the scales of what it sees.

    Args:
        x_shape: Shape of one data set.
        name: One of those below, or ``my_module:MyEmbedding``.
        mask: Whether the last feature of each event is 1 for events that are there and 0 for
            padding.
        mixed: Whether the embedding multiplies in bfloat16: faster on recent GPUs, to three
            digits; flows never do.
        gaps: Whether elements may be missing.
        **options: Those of the embedding.
    """
    made_of: Any = find_embedding(name)
    seen = without_mask(x_shape) if mask else x_shape
    told = made_of.with_gaps(seen) if gaps and not takes_mask(made_of) else seen
    return made_of(told, **options), made_of.scale_shape(seen)


def takes_mask(embedding: type[Embedding]) -> bool:
    """Say whether an embedding is told which events of a set are there."""
    return len(inspect.signature(embedding.forward).parameters) >= len(("self", "x", "mask"))


def without_mask(x_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a set without the feature that says which events are there."""
    return (*x_shape[:-1], x_shape[-1] - 1)


def check_embedding(
    x_shape: tuple[int, ...] | None, *, name: str, mask: bool = False, **options: Any
) -> None:
    """Refuse an embedding that does not suit data of this shape, or whose options do not.

    Args:
        x_shape: Shape of one data set; None where it is not known.
        name: As for `embed`.
        mask: As for `embed`.
        **options: All those of the embedding, and others.

    Raises:
        ValueError: See above.
    """
    made_of = find_embedding(name)
    if mask and not takes_mask(made_of):
        raise ValueError(f"mask is of sets of events, and {name} takes none; remove it")
    made_of.check(without_mask(x_shape) if mask and x_shape else x_shape, **options)


Embedded = Annotated[str | Mapping[str, Any], Chosen(), Takes(embed, given=1, short="name")]
Transform = Annotated[str, Chosen(), OneOf(TRANSFORMS)]


class Encoder(nn.Module):
    """Turns raw data into the context of a network: standardise, then summarise.

    Args:
        x_shape: Shape of one data set.
        transform: A name of `scaling.TRANSFORMS`.
        embedding: A name of `registry.EMBEDDINGS`, ``"my_module:MyEmbedding"``, or a mapping of
            ``name`` and options, see `embed`.
        gaps: Whether elements may be missing, NaN: the embedding then sees 0 there and a mask; of
            sets, an event that lacks something is left out.
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        *,
        transform: Transform = "none",
        embedding: Embedded = "none",
        gaps: bool = False,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = (
            {"name": embedding} if isinstance(embedding, str) else dict(embedding)
        )
        self.x_shape = x_shape
        self.masked, self.mixed = options.get("mask", False), options.get("mixed", False)
        self.embedding, scale_shape = embed(x_shape, gaps=gaps, **options)
        self.gaps, self.of_sets = gaps, takes_mask(type(self.embedding))
        self.out_dim: int = self.embedding.out_dim
        self.standardise = Standardise(scale_shape, transform)

    def fit_scales(self, x: Tensor) -> None:
        """Set what standardises data from training rows, ``(n, *x_shape)``.

        Raises:
            ValueError: What should be a mask is none.
        """
        if self.masked and (told := _no_mask(x[..., -1])):
            raise ValueError(
                f"mask: true takes the last of {x.shape[-1]} features of each event for its mask, "
                f"1 where it is there and 0 where not; {told}: append one, or leave 'mask' out"
            )
        self.standardise.fit(*self._split(x))

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x[..., :-1], x[..., -1] > 0.5) if self.masked else (x,)

    def standardised(self, x: Tensor) -> Tensor:
        """Return the standardised elements of unmasked data, flattened, ``(n, elements)``.

        What is missing is NaN.
        """
        return self.standardise(batched(x, self.x_shape)).flatten(1)

    def doubts(self, x: Tensor) -> list[str]:
        """Say what `Standardise.doubts` does; of sets with a mask what is wrong with that."""
        if not self.masked:
            return self.standardise.doubts(batched(x, self.x_shape))
        told = _no_mask(batched(x, self.x_shape)[..., -1])
        return [f"the last feature of each event is its mask; {told}"] if told else []

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, out_dim)`` for data ``(n, *x_shape)``, one row for one data set."""
        values, *mask = self._split(batched(x, self.x_shape))
        seen = self.standardise(values)
        if self.gaps:
            seen, mask = self._with_mask(seen, mask)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.mixed):
            out: Tensor = self.embedding(seen, *mask)
        return out.float()

    def _with_mask(self, x: Tensor, mask: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return standardised data with 0 for what is missing, and a mask beside them or in them.

        Args:
            x: ``(n, *x_shape)``.
            mask: Of the events of a set, if it has one.
        """
        there = ~x.isnan()
        filled = x.nan_to_num(0.0)
        if self.of_sets:
            whole = there.all(-1)
            return filled, [whole & mask[0] if mask else whole]
        both = torch.stack((filled, there.to(x)), 1)
        return both.reshape(len(x), *type(self.embedding).with_gaps(tuple(x.shape[1:]))), []


def _no_mask(values: Tensor) -> str:
    """Say which value of what should be a mask is neither 0 nor 1; empty if none is."""
    others = values[(values != 0) & (values != 1) & ~values.isnan()]
    return (
        f"{others.numel()} of {values.numel()} are neither, such as {others[0]:.4g}"
        if len(others)
        else ""
    )


def find_embedding(name: str) -> type[Embedding]:
    """Return the class of an embedding, one of ours or ``"my_module:MyEmbedding"``.

    Raises:
        ValueError: It cannot be found, or is no embedding.
    """
    found = load_part(name, EMBEDDINGS)
    if not (isinstance(found, type) and issubclass(found, Embedding)):
        raise ValueError(
            f"{name!r} is no embedding; wanted a subclass of Embedding of "
            "sbi_pipeline.networks.embedding"
        )
    return found


def choose_encoder(
    z: Tensor, x: Tensor, *, vectors: str = "none", **options: Any
) -> dict[str, Any]:
    """Replace what an encoder's options leave to be chosen from training data by the choice.

    Args:
        z: Training rows of the parameters.
        x: Training rows of the data, ``(n, *x_shape)``.
        vectors: What to do with few elements; more than 64 get an MLP, images are convolved.
        **options: Those of `Encoder`, and others, which are passed on.
    """
    embedding = options.get("embedding", "auto")
    masked = isinstance(embedding, Mapping) and embedding.get("mask", False)
    seen = x[..., :-1] if masked else x
    constant_columns(seen)
    if options.setdefault("transform", "auto") == "auto":
        there = seen[x[..., -1] > 0.5].unsqueeze(1) if masked else seen  # padding has no tails
        options["transform"] = choose_transform(there, None if masked else z)
    if options.setdefault("embedding", "auto") == "auto":
        options["embedding"] = choose_embedding(tuple(x.shape[1:]), vectors)
    return options


def choose_embedding(x_shape: tuple[int, ...], vectors: str) -> str:
    """Return the embedding of data of a shape; ``vectors`` is that of few elements."""
    few = math.prod(x_shape) <= 64
    return "cnn2d" if len(x_shape) >= 3 else vectors if few else "mlp"


def batched(x: Tensor, x_shape: tuple[int, ...]) -> Tensor:
    """Return data as floats, ``(n, *x_shape)``, with n = 1 for one data set.

    Raises:
        ValueError: The data have another shape.
    """
    if tuple(x.shape) == x_shape:
        x = x.unsqueeze(0)
    elif tuple(x.shape[1:]) != x_shape:
        raise ValueError(
            f"x has shape {tuple(x.shape)}; this estimator was trained on data sets of shape "
            f"{x_shape}, so give {x_shape} or (n, {', '.join(map(str, x_shape))})"
        )
    return as_floats(x)
