"""Fits how sure the estimator is of its poses: a probability that they are right, and a covariance."""
