"""Formats of labelled data."""
