"""The draws of a catalogue: one Zarr store, to which jobs add the objects of whole blocks.

The store is its own ledger: of every block the key of what its draws were made with is written
last, so a block whose key is there is whole, and one whose objects, estimator or options changed
has another key. Groups and arrays, with the names of their dimensions, so xarray opens them:

    posterior/{parameter}   (object, draw), in the parameter's own unit
    posterior/object        names
    summary                 (object, column); attribute ``columns``
    worst/of                (block, place): which objects of a block are shown, -1 for none
    worst/predicted         (block, place, level, *x_shape): quantiles of what they predict
    made                    (block,): keys, 0 for none
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from zarr.codecs import BytesCodec, Crc32cCodec

from ..types import Array
from .arrays import BAD_METADATA, group_of
from .lease import Lease
from .location import Folder

WAIT = 60.0  # seconds for another job that makes the store


@dataclass(frozen=True)
class Form:
    """What the draws of a store are.

    Attributes:
        recipe: Key of what draws are made with, but for the data.
        parameters: Inferred ones, then derived ones.
        columns: Of the summary.
        draws: Of each object.
        block: Objects of a block.
        shown: Objects of a block whose predictions are kept, at most.
        levels: Quantiles of these.
        x_shape: Of one object's data.
    """

    recipe: str
    parameters: tuple[str, ...]
    columns: tuple[str, ...]
    draws: int
    block: int
    shown: int
    levels: tuple[float, ...]
    x_shape: tuple[int, ...]


@dataclass(frozen=True)
class ObjectBlock:
    """What is written of the objects of one block.

    Attributes:
        draws: By parameter, ``(m, draws)``.
        summary: By column, ``(m,)``.
        of: Which of the objects are shown, ``(k,)``; k may be 0.
        predicted: Quantiles of what these predict, ``(k, levels, *x_shape)``.
    """

    draws: Mapping[str, Array]
    summary: Mapping[str, Array]
    of: Array
    predicted: Array


class DrawStore:
    """The store, open for reading and for adding blocks that no other job adds.

    Args:
        path: Of the store.

    Raises:
        ValueError: It is not there, or was damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            group = group_of(path, "r+")
            self.form = _form(group.attrs["form"])
            self._arrays = {key: group[key] for key in _shapes(self.form, 0)}
        except FileNotFoundError as error:
            raise ValueError(
                f"{path} is not there; was it deleted while objects were drawn?"
            ) from error
        except KeyError as error:
            raise _damaged(path, f"no {error} in it") from error
        except BAD_METADATA as error:
            raise _damaged(path, str(error).splitlines()[0]) from error
        self.objects = self._arrays["summary"].shape[0]

    def made(self) -> Array:
        """Return the key of every block, ``(blocks,)``; 0 for none, or of which files are gone."""
        keys = self._read("made", slice(None))
        for number in np.flatnonzero(keys).tolist():
            if not all((self.path / self._chunk(name, number)).exists() for name in self._whole()):
                keys[number] = 0
        return keys

    def drawn(self) -> int:
        """Return how many objects have draws, also such as were made with what is there no more."""
        blocks = np.flatnonzero(self.made())
        return int(np.minimum(self.objects - blocks * self.form.block, self.form.block).sum())

    def add(self, number: int, block: ObjectBlock, key: int) -> None:
        """Write a block; it is on the disk when this returns.

        Args:
            number: Of the block.
            block: What is written.
            key: Of what it was made with, not 0.
        """
        first = number * self.form.block
        rows = slice(first, min(first + self.form.block, self.objects))
        self._arrays["made"][number] = 0
        for name, values in block.draws.items():
            self._arrays[f"posterior/{name}"][rows] = values
        self._arrays["summary"][rows] = np.column_stack(
            [block.summary[name] for name in self.form.columns]
        )
        of = np.full(self.form.shown, -1)
        of[: len(block.of)] = first + block.of
        self._arrays["worst/of"][number] = of
        if len(block.of):
            self._arrays["worst/predicted"][number, : len(block.of)] = block.predicted
        written = [key for key in self._arrays if key != "made"]
        self._settle(number, written if len(block.of) else written[:-1])
        self._arrays["made"][number] = key
        self._settle(number, ["made"])

    def summary(self) -> dict[str, Array]:
        """Return the summary by column, ``(objects,)``."""
        return dict(zip(self.form.columns, self._read("summary", slice(None)).T, strict=True))

    def worst(self) -> Iterator[tuple[int, Array]]:
        """Yield the objects of all blocks that are shown, with quantiles of their predictions."""
        for number, of in enumerate(self._read("worst/of", slice(None))):
            for place, which in enumerate(of):
                if which >= 0:
                    yield int(which), self._read("worst/predicted", (number, place))

    def _read(self, name: str, where: Any) -> Array:
        try:
            return np.asarray(self._arrays[name][where])
        except ValueError as error:  # of Zarr's checksums
            raise _damaged(self.path, f"{name}: {error}") from error

    def _settle(self, number: int, names: Sequence[str]) -> None:
        Folder(self.path).settle([self._chunk(name, number) for name in names])

    def _whole(self) -> list[str]:
        """Return the arrays of which every block that is made has a file."""
        return [name for name in self._arrays if name != "worst/predicted"]

    def _chunk(self, name: str, number: int) -> str:
        return f"{name}/c/{'/'.join([str(number), *['0'] * (self._arrays[name].ndim - 1)])}"


def _damaged(path: Path, what: str) -> ValueError:
    return ValueError(
        f"{path} was damaged ({what}); delete it and run snakemake again, which draws anew"
    )


def prepare_store(path: Path, form: Form, names: Sequence[str]) -> DrawStore:
    """Return the store of draws of a form for so many objects; one of another form is replaced.

    What is there of blocks stays where objects were added; their keys say which still hold.

    Args:
        path: Of the store; jobs that prepare it at once wait for each other.
        form: Of the draws.
        names: Of the objects.
    """
    with Lease(path.with_name("work"), grace=WAIT):
        if _form_of(path) == form:
            _resize(path, form, names)
        else:
            partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
            _make(partial, form, names)
            shutil.rmtree(path, ignore_errors=True)
            partial.rename(path)
    return DrawStore(path)


def _form_of(path: Path) -> Form | None:
    try:
        return DrawStore(path).form
    except ValueError:
        return None


def _form(attrs: Mapping[str, Any]) -> Form:
    """Return a form from what JSON makes of it."""
    values: dict[str, Any] = {
        key: tuple(each) if isinstance(each, list) else each for key, each in attrs.items()
    }
    return Form(**values)


def _shapes(form: Form, objects: int) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return shape and chunks of every array by name, those of ``worst`` last but for the keys."""
    blocks, block = -(-objects // form.block), form.block
    predicted = (form.shown, len(form.levels), *form.x_shape)
    draws = ((objects, form.draws), (block, form.draws))
    return {
        "made": ((blocks,), (1,)),
        **{f"posterior/{name}": draws for name in form.parameters},
        "summary": ((objects, len(form.columns)), (block, len(form.columns))),
        "worst/of": ((blocks, form.shown), (1, form.shown)),
        "worst/predicted": ((blocks, *predicted), (1, *predicted)),
    }


def _make(path: Path, form: Form, names: Sequence[str]) -> None:
    group = group_of(path, "w-")
    group.attrs["form"] = asdict(form)
    dims = {
        "made": ("block",),
        "summary": ("object", "column"),
        "worst/of": ("block", "place"),
        "worst/predicted": ("block", "place", "level", *_x_dims(form)),
    }
    kinds = {"made": ("uint64", 0), "worst/of": ("int64", -1), "worst/predicted": ("f4", np.nan)}
    for name, (shape, chunks) in _shapes(form, len(names)).items():
        dtype, missing = kinds.get(name, ("f8", np.nan))
        group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            fill_value=missing,
            serializer=BytesCodec(),
            compressors=[Crc32cCodec()],
            dimension_names=dims.get(name, ("object", "draw")),
        )
    group["summary"].attrs["columns"] = list(form.columns)
    _name(group, names)


def _x_dims(form: Form) -> list[str]:
    return [f"x_dim_{axis}" for axis in range(len(form.x_shape))]


def _resize(path: Path, form: Form, names: Sequence[str]) -> None:
    group = group_of(path, "r+")
    for name, (shape, _) in _shapes(form, len(names)).items():
        if group[name].shape != shape:
            group[name].resize(shape)
    if list(group["posterior/object"][:]) != list(names):
        _name(group, names)


def _name(group: Any, names: Sequence[str]) -> None:
    made = group.create_array(
        "posterior/object",
        shape=(len(names),),
        chunks=(len(names),),
        dtype=str,
        fill_value="",
        dimension_names=("object",),
        overwrite=True,
    )
    made[:] = np.array(names, dtype=object)
