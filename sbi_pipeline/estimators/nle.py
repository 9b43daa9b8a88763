"""Neural likelihood estimation: a conditional density q(x | z), trained on simulations.

Objective: minimise ``-E log q(x | z)``; the minimum is the likelihood with the nuisance parameters
marginalised. The prior does not enter, so it can be changed after training (within its support).
``log_prob(z, x)`` is log q(x | z) in nats per unit of x, the Jacobian of all scaling included;
MCMC on it plus the log prior draws from the posterior.

What columns hold is found by their values (`networks.values`). The density is per unit of a column
that is real, and per value of another:

* Few values: their probabilities are learnt (`categorical.Categorical`).
* Multiples of a step, such as whole numbers: training sees ``x + u`` with ``u`` uniform over a
  step, drawn anew each time, so that ``log_prob`` approximates log P(x | z), the integral of q
  over a step. At an observation that integral is taken at its midpoint: the flow learns a smooth
  density, whose mean over a step differs from the midpoint in second order only, and noise in u
  would be noise in the MCMC target.
* Atoms: equal values among others, such as a limit that data are censored at. Which columns are at
  which of them is d, and the flow is over the columns that are at none:

      log q(x | z) = log P(d | z) + log q(x at no atom | d, z).

  It leaves columns out row by row, exactly (`networks.splines`).
* Missing elements: they are left out in the same way, of a density given which they are. Where
  masks say something of z, log P(mask | z) is learnt as well.

References:
    Papamakarios, Sterratt & Murray, Sequential neural likelihood, AISTATS 2019,
    https://arxiv.org/abs/1805.07226.
    Theis, van den Oord & Bethge, A note on the evaluation of generative models, ICLR 2016,
    https://arxiv.org/abs/1511.01844 (dequantisation).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor

from ..networks.categorical import Categorical
from ..networks.compression import Compression, Summaries, named
from ..networks.conditioned import conditioned_line, regression
from ..networks.conditioning import Known, Linear, check_columns
from ..networks.encoders import Transform, batched
from ..networks.flows import FLOWS, Flow
from ..networks.flows import flow as build_flow
from ..networks.gapped_regression import GappedRegression
from ..networks.mixed import MixedStandardise
from ..networks.packing import packed_shape, unpacked
from ..networks.periodic import is_periodic, told_of
from ..networks.scaling import as_floats
from ..networks.splines import only
from ..networks.values import Values, choose_values
from ..options import INTERNAL, Chosen, Indices, OneOf, Passes, Takes
from ..types import Traits
from .estimator import Estimator, Preview
from .likelihood_choices import choose_columns, choose_masks, choose_scales, choose_summarised


def discrete_columns(
    *,
    columns: Indices,
    levels: Annotated[int, Ge(2)],
    **categorical: Annotated[Any, Passes(Categorical, given=3)],
) -> tuple[list[int], int, dict[str, Any]]:
    """Return columns, levels and the options of the network that learns them.

    Args:
        columns: Columns that are learnt as discrete.
        levels: Number of values each may take, at most.
        **categorical: Options of `categorical.Categorical`.
    """
    return columns, levels, categorical


class NLE(Estimator):
    """Conditional flow over x given z, and given known conditions, which stand beside z.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set; the flow is over its flattened elements, the columns.
        known: Number of conditions that are known of each.
        flow: Family of the density of the data.
        transform: Function that each real number of x goes through first; ``auto``: by the
            training rows.
        dequantise: Whether x holds whole numbers, or multiples of another step; ``auto``: the
            columns whose values are such; ``true``: all, of a step of 1 where none is found.
        columns: Numbers of x that are used, counted from 0; ``auto``: those that vary and that
            something links with the parameters; ``all``: those that vary.
        linear: Whether the flow is over what a linear regression of x on the parameters leaves;
            ``auto``: unless x has very many numbers.
        discrete: Numbers of x, ``columns``, of which probabilities are learnt: each takes at most
            ``levels`` values; further options are those of the network that learns them;
            ``auto``: those of at most 8 values.
        atoms: Numbers of x some of whose values have a probability of their own, such as a limit
            that they are censored at; ``auto``: those with values that far more rows have than
            the values beside them; ``null``: none.
        counts: As ``transform``, of numbers that are multiples of a step, counted in steps;
            ``auto``: ``transform`` where that is given, else ``log1p``, or as for real numbers
            where some are negative.
        summaries: Linear summaries of the columns, fitted to training rows, whose likelihood is
            learnt instead of that of x; ``auto``: principal components of more than 500 columns
            of real numbers, where they lose nothing; ``null``: none.
        values: What columns hold that are not just real, see `networks.values`.
        periodic: Columns of z that are of periodic parameters.
        gaps: Whether elements of x may be missing, NaN.
        masks: Numbers of x of which it is learnt with what probability they are missing, where that
            says something of the parameters.
        **flow_options: Keyword arguments of that flow.
    """

    periodic: Tensor | None
    # Of many small operations.
    traits = Traits(target="likelihood", conditions=True, compiles=True, circles=True, gaps=True)

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        known: Known = 0,
        flow: Annotated[str, OneOf(FLOWS)] = "nsf_ar",
        transform: Transform = "none",
        dequantise: Annotated[bool, Chosen()] = False,
        columns: Annotated[Indices, Chosen(("auto", "all"))],
        discrete: Annotated[Mapping[str, Any] | None, Chosen(), Takes(discrete_columns)] = None,
        atoms: Annotated[Indices | None, Chosen()] = None,
        counts: Transform = "none",
        linear: Linear = False,
        summaries: Summaries = None,
        values: Annotated[Mapping[int, Mapping[str, Any]] | None, INTERNAL] = None,
        periodic: Annotated[Sequence[int], INTERNAL] = (),
        gaps: Annotated[bool, INTERNAL] = False,
        masks: Annotated[Sequence[int] | None, INTERNAL] = None,
        **flow_options: Annotated[Any, Passes(FLOWS, by="flow", given=2)],
    ) -> None:
        super().__init__()
        few, levels, options = discrete_columns(**discrete) if discrete else ([], 1, {})
        held = {column: Values(**each) for column, each in (values or {}).items()}
        self.x_shape, self.known = x_shape, known
        self.held, self.has_atoms = held, bool(atoms)
        self.kept, self.compression = columns, None
        if kind := named(summaries):
            shape = (len(columns),)
            self.compression = Compression(shape, theta_dim, transform=transform, **kind)
            columns, transform = list(range(self.compression.out_dim)), "none"
        self.coded = [*few, *(atoms or [])]
        self.masked, self.may_lack = list(masks or []), sorted({*columns, *few}) if gaps else []
        self.standardise = MixedStandardise(
            [i for i in columns if i not in few], held, transform, counts
        )
        out_dim = len(self.standardise.columns)
        # Of each column, which coded one says that it is at an atom; -1 where it has none.
        self.atom_of = [
            self.coded.index(i) if i in (atoms or []) else -1 for i in self.standardise.columns
        ]
        given = theta_dim + known
        self.register_buffer("periodic", is_periodic(given, periodic), persistent=False)
        self.seen = given if not len(periodic) else 2 * given
        context_dim = 2 * given + len(self.coded)  # z, its ranks, values that are taken
        self.categorical = None
        if self.coded:
            levels = max(levels, *(held[i].levels for i in self.coded))
            dim = self.seen + len(self.may_lack)
            self.categorical = Categorical(len(self.coded), levels, dim, **options)
            self.categorical.know([held[i] for i in self.coded])
        self.masks = Categorical(len(self.masked), 2, self.seen) if self.masked else None
        conditions = [*range(theta_dim, given), *range(given + theta_dim, 2 * given)]
        self.conditions = conditions
        self.others = [i for i in range(context_dim) if i not in conditions]
        self.linear = self.gapped = None
        if linear and gaps:
            line = conditioned_line(out_dim, len(self.others), len(conditions))
            self.gapped = GappedRegression(out_dim, len(self.others), line)
        elif linear:
            self.linear = regression(context_dim, out_dim, conditions)
        context_dim += len(self.may_lack)
        self.flow = build_flow(flow, out_dim, context_dim, **flow_options) if out_dim else None

    @classmethod
    def check(cls, x_shape: tuple[int, ...] | None, **options: Any) -> None:
        """Refuse columns that data do not have, and a flow that can leave none of them out."""
        columns, discrete, atoms = options["columns"], options["discrete"], options["atoms"]
        if options["summaries"] not in ("auto", None) and (
            options["dequantise"] is True
            or isinstance(atoms, list)
            or isinstance(discrete, Mapping)
        ):
            raise ValueError(
                "summaries are real numbers, without discrete, atoms and dequantise; remove these, "
                "or the summaries"
            )
        if isinstance(atoms, list):
            check_flow(options["flow"], atoms, gaps=False)
        if x_shape is None:
            return
        few = discrete["columns"] if isinstance(discrete, Mapping) else None
        for given in (columns, atoms, few):
            if isinstance(given, list) and given:
                check_columns((math.prod(x_shape),), given)

    @classmethod
    def choose(cls, preview: Preview, **options: Any) -> dict[str, Any]:
        """Replace what is left to be chosen from training data by the choice."""
        z, x = preview.given, preview.x
        options["columns"] = choose_columns(z, x, options.get("columns", "auto"))
        if preview.gaps:
            options["summaries"] = None  # they are of all elements
        if (summarised := choose_summarised(z, x, options)) is not None:
            return summarised
        options |= choose_values(x.flatten(1), **options)
        check_flow(options.get("flow", "nsf_ar"), options["atoms"], preview.gaps)
        if preview.gaps:
            options |= {"gaps": True, "masks": choose_masks(z, x.flatten(1).isnan())}
        return {**options, **choose_scales(z, x.flatten(1), **options)}

    def _unpacked(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return known conditions and columns of data, a row for each data set."""
        rows = batched(x, packed_shape(self.known, self.x_shape))
        known, x = unpacked(rows, self.known, self.x_shape)
        return known, x.flatten(1)

    def _look(self, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return rows of x, which columns the flow is over, and what it is given but for a mask."""
        known, x = self._unpacked(x)
        if self.compression is not None:
            x = self.compression(x[:, self.kept])
        x = x.expand(len(z), -1)
        z = torch.cat((z, known.expand(len(z), -1)), 1)
        present = ~x[:, self.standardise.columns].isnan() if self.may_lack else None
        if self.categorical is None:
            return x, present, torch.cat(told_of(z, self.periodic), 1)
        codes, _ = self.categorical.codes(x[:, self.coded])
        if self.has_atoms:
            at_atom = torch.cat((codes > 0, torch.zeros_like(codes[:, :1], dtype=torch.bool)), 1)
            elsewhere = ~at_atom[:, self.atom_of]
            present = elsewhere if present is None else present & elsewhere
        return x, present, torch.cat((*told_of(z, self.periodic), codes.to(z)), 1)

    def _missing(self, x: Tensor, columns: Sequence[int]) -> Tensor:
        """Return 1 for elements of some columns that are missing and 0 for others, ``(n, ...)``."""
        return x[:, columns].isnan().float()

    def _gapped(self, y: Tensor, present: Tensor | None, given: Tensor) -> tuple[Tensor, Tensor]:
        """Return conditions with data, NaN where they are missing, and what else is given."""
        inputs = torch.cat((given[:, self.conditions], _where(present, y)), 1)
        return inputs, given[:, self.others]

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set what is fitted beforehand to training rows, ``(n, theta_dim)``, ``(n, *x_shape)``."""
        if self.compression is not None:
            self.compression.fit_to(z, as_floats(self._unpacked(x)[1])[:, self.kept])
        x, present, given = self._look(z, x)
        if self.categorical is not None:
            self.categorical.fit(x[:, self.coded])
        if self.flow is not None:
            self.standardise.fit(x, present)
        if self.linear is not None:
            self.linear.fit(given, self.standardise(x, 0.5)[0], present)
        if self.gapped is not None:
            self.gapped.fit(*self._gapped(self.standardise(x, 0.5)[0], present, given))
        if self.masks is not None:
            self.masks.fit(self._missing(x, self.masked))

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return -log q(x | z), ``(n,)``, with noise of its own where x is dequantised."""
        within = torch.rand(len(z), len(self.standardise.whole), device=z.device)
        return -self._log_prob(z, x, within)

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log q(x | z) in nats, ``(n,)``, for paired rows or for one data set x."""
        return self._log_prob(z, x, 0.5)

    def _log_prob(self, z: Tensor, x: Tensor, within: Tensor | float) -> Tensor:
        x, present, given = self._look(z, x)
        log_prob, mask = z.new_zeros(len(z)), self._missing(x, self.may_lack)
        seen = given[:, : self.seen]
        if self.masks is not None:
            log_prob = log_prob + self.masks.log_prob(self._missing(x, self.masked), seen)
        if self.categorical is not None:
            context = torch.cat((seen, mask), 1)
            log_prob = log_prob + self.categorical.log_prob(x[:, self.coded], context)
        if self.flow is None:
            return log_prob
        y, log_slopes = self.standardise(x, within)
        if self.gapped is not None:
            y, more = self.gapped.residual(*self._gapped(y, present, given))
            log_slopes = log_slopes + more
        if self.linear is not None:
            y = self.linear.residual(y, given, present)
            log_slopes = log_slopes + self.linear.log_slopes(given)
        given = torch.cat((given, mask), 1)
        if present is not None and isinstance(self.flow, Flow):
            y, log_slopes = only(present, y, log_slopes)
            return log_prob + log_slopes.sum(1) + self.flow.log_prob(y, given, present)
        return log_prob + log_slopes.sum(1) + self.flow.log_prob(y, given)

    def doubts(self, x: Tensor) -> list[str]:
        """Say which numbers of data no simulation had, of columns that do not hold any number."""
        _, x = self._unpacked(x)
        if self.compression is not None:
            return self.compression.standardise.doubts(x[:, self.kept])
        told = self.standardise.of_real.doubts(x[:, self.standardise.real])
        for i, each in self.held.items():
            odd = x[~(each.allow(x[:, i]) | x[:, i].isnan()), i]
            if len(odd):
                found = f"x is {float(odd[0]):g} in column {i}"
                told.append(f"{found}, which holds {each.described} in simulations")
        return told


def _where(present: Tensor | None, y: Tensor) -> Tensor:
    """Return columns with NaN for what is not present."""
    return y if present is None else torch.where(present, y, torch.nan)


def check_flow(flow: str, atoms: list[int] | None, gaps: bool) -> None:
    """Refuse a flow that cannot leave columns out of a row."""
    if gaps and flow == "mdn":
        raise ValueError(
            "flow: mdn is a density of all columns in every row, and elements may be missing; take "
            "nsf_ar, nsf or maf"
        )
    if atoms and flow == "mdn":
        raise ValueError(
            f"flow: mdn is a density of all columns in every row, and column {atoms[0]} has values "
            "of a probability of their own; take nsf_ar, nsf or maf, or write atoms: null"
        )
