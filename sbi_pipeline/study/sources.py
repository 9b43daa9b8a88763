"""Parameters that come from a table: whether it has them, as far as its header tells."""

from __future__ import annotations

from ..campaigns.sources import TableSource
from ..types import Prior
from .binding import InconsistentError
from .files import Keys
from .schema import Config


def check_source(campaign: Config, rows: int, prior: Prior, keys: Keys) -> None:
    """Check the source of a campaign.

    Args:
        campaign: Its entry.
        rows: How many it simulates itself.
        prior: Of all parameters.
        keys: Where it stands.

    Raises:
        InconsistentError: No such table, one without parameters, or with too few rows.
    """
    if "source" not in campaign:
        return
    try:
        TableSource(**campaign["source"]).look(prior)
    except ValueError as error:
        raise InconsistentError((*keys, "source"), str(error)) from error
    check_size(campaign, rows, prior, (*keys, "simulations"))


def check_size(campaign: Config, rows: int, prior: Prior, keys: Keys) -> None:
    """Refuse more simulations than the table has rows.

    Raises:
        InconsistentError: It has fewer.
    """
    if "source" not in campaign:
        return
    source = TableSource(**campaign["source"])
    try:
        _, there = source.look(prior)
    except ValueError as error:
        raise InconsistentError(keys, str(error)) from error
    if rows > there:
        raise InconsistentError(
            keys,
            f"{rows} are to be simulated from table {source.table}, which has {there} rows; ask "
            "for fewer, or put more rows in a table of another campaign, and reuse that",
        )
