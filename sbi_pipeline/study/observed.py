"""Observations before anything is simulated: whether entries, files and truths make sense."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .. import observations, priors
from ..types import Prior, declared_shape
from .binding import InconsistentError, first_few, near
from .data import data_shape, simulator_of
from .files import Keys
from .schema import CampaignEntry, Config
from .signatures import stated


def check_observations(campaign: Config, prior: Prior, keys: Keys) -> None:
    """Check the observations of one campaign, those in files as far as their shape is known.

    Args:
        campaign: Its entry.
        prior: Of all parameters of the simulator.
        keys: Where it stands.

    Raises:
        InconsistentError: With the first thing that makes no sense.
    """
    events = stated(CampaignEntry, campaign, "events")
    for name, entry in campaign.get("observations", {}).items():
        where = (*keys, "observations", name)
        if ("file" in entry) == ("parameters" in entry):
            raise InconsistentError(where, "wanted either 'file' or 'parameters'")
        if ("events" in entry) != (events and "parameters" in entry):
            raise InconsistentError(
                where,
                "'events' says how many to simulate, for a campaign with events: true and no file; "
                "wanted there, and only there",
            )
        if "truth" in entry and "file" not in entry:
            text = "'truth' is for a file; 'parameters' are truths"
            raise InconsistentError((*where, "truth"), text)
        if "seed" in entry and "file" in entry:
            text = "has no effect: a file has no seed; remove it"
            raise InconsistentError((*where, "seed"), text)
        for key in ("parameters", "truth"):
            for parameter in entry.get(key, {}):
                if parameter not in prior.names:
                    guess = near(parameter, prior.names)
                    text = f"{parameter!r} is none of {first_few(prior.names)}{guess}"
                    raise InconsistentError((*where, key, parameter), text)
            _check_truth(entry.get(key, {}), prior, (*where, key))
        if "file" in entry:
            _check_file(entry["file"], campaign, (*where, "file"))


def _check_file(file: str, campaign: Config, keys: Keys) -> None:
    """Refuse a file that holds no data set of the simulator's, as far as their shape is known."""
    try:
        x_o = observations.read_observation(file)
        if (said := declared_shape(simulator_of(campaign))) is not None:
            observations.check_shape(file, x_o, said, stated(CampaignEntry, campaign, "events"))
    except ValueError as error:
        raise InconsistentError(keys, str(error)) from error
    shown = data_shape(campaign)
    if said is None and shown not in (None, x_o.shape):
        text = f"observation {file} has shape {x_o.shape}, one before it {shown}; wanted one shape"
        raise InconsistentError(keys, text)


def _check_truth(truth: Mapping[str, float], prior: Prior, keys: Keys) -> None:
    """Refuse parameters that the prior excludes, as far as that can be told."""
    if isinstance(prior, priors.NamedPrior):
        given = {name: np.asarray(float(value)) for name, value in truth.items()}
        for each in prior.parameters:
            if each.name not in truth or set(each.parents) - set(truth):
                continue
            made, value = each.given(given), truth[each.name]
            low, high = made.support()
            if not low <= value <= high:
                raise InconsistentError(
                    (*keys, each.name),
                    f"got {value:g}; its prior reaches from {float(low):g} to {float(high):g}: "
                    f"widen it, or leave this value out",
                )
            if each.family.discrete and not made.pmf(value):
                text = f"got {value:g}; its prior gives that no probability"
                raise InconsistentError((*keys, each.name), text)
    elif set(truth) == set(prior.names):
        row = np.array([[truth[name] for name in prior.names]])
        if np.isneginf(prior.log_prob(row)).any():
            raise InconsistentError(keys, "lies outside the prior: widen it, or leave a value out")
