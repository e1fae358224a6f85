"""Evaluation: the measures of the paper's tables, exact."""
