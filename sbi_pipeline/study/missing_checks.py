"""Missing elements before anything is simulated: whether what says how they arise makes sense."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .. import estimators
from ..storage.missing_elements import MissingElements
from ..types import Array
from .binding import InconsistentError
from .data import data_shape, missing_of, read_entry
from .files import Keys
from .schema import Config

WAYS = ("probability", "patterns", "rows")


def check_missing(config: Config, campaign: Config, methods: Mapping[str, str], keys: Keys) -> None:
    """Refuse gaps that contradict themselves, the data, or what learns from them.

    Args:
        config: The whole configuration.
        campaign: Entry of the campaign.
        methods: Of its estimators, by name.
        keys: Where the campaign stands.

    Raises:
        InconsistentError: With the first thing that makes no sense.
    """
    if "missing" not in campaign:
        return
    given, where = campaign["missing"], (*keys, "missing")
    if sum(bool(given.get(way)) for way in WAYS) != 1:
        raise InconsistentError(where, "wanted one of 'probability', 'patterns' and 'rows: true'")
    if "length" in given and "probability" not in given:
        text = "has no effect: it is of gaps with a probability; remove it"
        raise InconsistentError((*where, "length"), text)
    try:
        shape = data_shape(campaign)
    except ValueError:
        shape = None  # of a file that cannot be read: said where it stands
    try:
        if shape is not None:
            MissingElements(**missing_of(campaign)["missing"]).check(shape)
    except ValueError as error:
        raise InconsistentError(where, str(error)) from error
    if shape is not None and "patterns" in given:
        _check_seen(campaign, shape, (*keys, "observations"))
    for name, method in methods.items():
        _check_learner(config["estimators"][name], method, ("estimators", name))
    for name, entry in config.get("refine", {}).items():
        if entry["proposal"] in methods and entry.get("likelihood") == "exact":
            text = "the simulator's own likelihood is of whole data; take an estimator of it"
            raise InconsistentError(("refine", name, "likelihood"), text)


def _check_seen(campaign: Config, shape: tuple[int, ...], keys: Keys) -> None:
    """Refuse observations with gaps that no mask has: nothing would be learnt of these."""
    missing = MissingElements(**missing_of(campaign)["missing"]).given_masks(shape)
    sometimes, always = (each(missing, axis=0).ravel() for each in (np.any, np.all))
    for name, entry in campaign.get("observations", {}).items():
        x = _whole_rows(entry, campaign, shape)
        if not len(x):
            continue
        lacking, holding = np.isnan(x).any(axis=0) & ~sometimes, ~np.isnan(x).all(axis=0) & always
        for found, here, there in ((lacking, "missing", "there"), (holding, "there", "missing")):
            if found.any():
                raise InconsistentError(
                    (*keys, name, "file"),
                    f"element {int(found.argmax())}, counted from 0, is {here}, and {there} in all "
                    "masks of 'patterns': nothing is learnt of that; add masks that are like it",
                )


def _whole_rows(entry: Config, campaign: Config, shape: tuple[int, ...]) -> Array:
    """Return the data sets of an observation's file, ``(n, elements)``, but for empty ones."""
    elements = math.prod(shape)
    try:
        x = read_entry(entry, campaign) if "file" in entry else np.zeros(0)
    except ValueError:  # said where it stands
        x = np.zeros(0)
    rows = x.reshape(-1, elements) if x.size % elements == 0 else np.zeros((0, elements))
    whole: Array = rows[~np.isnan(rows).all(axis=1)]
    return whole


def _check_learner(entry: Config, method: str, keys: Keys) -> None:
    try:
        estimators.check_takes_gaps(method)
    except ValueError as error:
        raise InconsistentError((*keys, "method"), str(error)) from error
    if entry.get("network", {}).get("summaries", "auto") not in ("auto", None):
        text = "are of all elements, and some may be missing; remove them"
        raise InconsistentError((*keys, "network", "summaries"), text)
    if method == "nle" and entry.get("network", {}).get("flow") == "mdn":
        text = "mdn is a density of all elements, and some may be missing; take nsf_ar, nsf or maf"
        raise InconsistentError((*keys, "network", "flow"), text)
