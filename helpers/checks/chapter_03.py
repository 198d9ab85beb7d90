"""Checks of chapter 3: vanishing, a matrix, clipping, the training step, a state, adding."""
