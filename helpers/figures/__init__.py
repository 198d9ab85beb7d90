"""Every figure of the course is drawn here or in the notebook, from computed values."""

from .colored_text import colored_text, visible
from .language_model import (
    character_mapping,
    character_model,
    embedding_lookup,
    generation_steps,
    next_character,
)
from .lstm import bottleneck_and_attention, lstm_blocks, lstm_cell, two_ways, what_the_gate_sees
from .rnn import (
    activations,
    chain_of_factors,
    feedforward_and_recurrent,
    folded_and_unfolded,
    three_recurrences,
    weight_matrices,
)
from .sequences import forecasts_and_errors, influence_patterns, task_shapes, time_series
from .sketch import Sketch
from .sliders import slider
from .style import HIDDEN, INK, INPUT, MUTED, OUTPUT, RECURRENT, show, tint
