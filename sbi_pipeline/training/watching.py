"""Losses of a training as it runs, for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Watch = Callable[[Mapping[str, float]], None]
"""What is told each epoch's record."""


@contextmanager
def watching(folder: Path | None) -> Iterator[Watch]:
    """Yield what writes the record of an epoch, a row of ``history.csv``, to event files.

    Args:
        folder: Where ``tensorboard --logdir`` finds them; None to write none.
    """
    if folder is None:
        yield lambda record: None
        return
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - takes a second

    with SummaryWriter(str(folder)) as writer:

        def tell(record: Mapping[str, float]) -> None:
            epoch = int(record["epoch"])
            for name in ("train_loss", "validation_loss", "learning_rate"):
                writer.add_scalar(name, record[name], epoch)

        yield tell
