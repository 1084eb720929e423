"""Evaluation of recorded bags: read, replay, judge against a ground truth, report."""
