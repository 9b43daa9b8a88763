"""Of many parameters those are shown that the data tell most of, and those most correlated."""

import numpy as np
import synthetic

from sbi_pipeline.plots import foremost, many


def test_half_are_the_best_known_and_half_the_most_correlated():
    informations = {f"p{place}": float(place) for place in range(20)}
    informations["p19"] = np.nan
    correlations = np.eye(20)
    correlations[2, 3] = correlations[3, 2] = -0.9
    correlations[0, 18] = correlations[18, 0] = 0.5
    found = foremost.that_matter(informations, correlations, most=6)
    assert found.informed == ["p18", "p17", "p16"]
    assert found.pairs[:2] == [("p2", "p3", -0.9), ("p0", "p18", 0.5)]
    assert found.names == ["p0", "p2", "p3", "p16", "p17", "p18"]
    assert found.of == 20


def test_few_parameters_are_all_shown():
    found = foremost.that_matter({"a": 1.0, "b": 2.0}, np.eye(2))
    assert found == foremost.Foremost(["a", "b"], 2)


def test_of_several_posteriors_the_strongest_correlation_counts():
    one, other = np.array([[1.0, 0.2], [0.2, 1.0]]), np.array([[1.0, -0.7], [-0.7, 1.0]])
    assert foremost.strongest([one, other])[0, 1] == -0.7


def test_all_parameters_and_pairs_are_drawn():
    tree = synthetic.posterior(1, method="npe")
    every = many.every_parameter({"npe": tree}, {"mass": 1.0})
    pairs = many.correlation_matrices({"npe": tree})
    assert len(every.axes[0].get_yticks()) == 3
    assert pairs.axes[0].images[0].get_array().shape == (3, 3)
