"""Every figure of the course is drawn here or in the notebook, from computed values."""

from .colored_text import colored_text, embedding_lookup, visible
from .language_model import character_mapping, character_model, generation_steps, next_character
from .nets import (
    activations,
    bottleneck_and_attention,
    chain_of_factors,
    feedforward_and_recurrent,
    folded_and_unfolded,
    lstm_blocks,
    lstm_cell,
    three_recurrences,
    two_ways,
    weight_matrices,
    what_the_gate_sees,
)
from .sequences import forecasts_and_errors, influence_patterns, task_shapes, time_series
from .style import HIDDEN, INK, INPUT, MUTED, OUTPUT, RECURRENT, show, slider, tint
