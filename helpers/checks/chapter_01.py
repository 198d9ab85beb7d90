"""Checks of chapter 1: windows, splits, axes, padding, pairs of words, shapes, a forecast."""
