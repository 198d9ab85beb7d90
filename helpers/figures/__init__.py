"""Every figure of the course is drawn here or in the notebook, from computed values."""

from helpers.figures.colored_text import colored_text, visible
from helpers.figures.embedding import embedding_lookup
from helpers.figures.gradients import chain_of_factors
from helpers.figures.language_model import (
    character_mapping,
    character_model,
    generation_steps,
    next_character,
)
from helpers.figures.lstm import lstm_blocks, lstm_cell
from helpers.figures.rnn import (
    activations,
    feedforward_and_recurrent,
    folded_and_unfolded,
    three_recurrences,
    weight_matrices,
)
from helpers.figures.sequences import (
    forecasts_and_errors,
    influence_patterns,
    task_shapes,
    time_series,
)
from helpers.figures.sketch import Sketch, tint
from helpers.figures.sliders import slider
from helpers.figures.style import HIDDEN, INK, INPUT, MUTED, OUTPUT, RECURRENT, show

__all__ = [
    "HIDDEN",
    "INK",
    "INPUT",
    "MUTED",
    "OUTPUT",
    "RECURRENT",
    "Sketch",
    "activations",
    "chain_of_factors",
    "character_mapping",
    "character_model",
    "colored_text",
    "embedding_lookup",
    "feedforward_and_recurrent",
    "folded_and_unfolded",
    "forecasts_and_errors",
    "generation_steps",
    "influence_patterns",
    "lstm_blocks",
    "lstm_cell",
    "next_character",
    "show",
    "slider",
    "task_shapes",
    "three_recurrences",
    "time_series",
    "tint",
    "visible",
    "weight_matrices",
]
