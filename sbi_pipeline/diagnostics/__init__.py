"""Numbers that say whether a posterior can be believed, each with what chance would give.

``convergence`` asks whether the draws are enough, ``calibration`` whether the estimator is honest,
``comparison`` whether two posteriors agree, ``predictive`` whether the model could have made the
data. They measure and never judge: thresholds live in ``verdict``.
"""
