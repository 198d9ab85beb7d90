"""Every figure of the course is drawn here or in the notebook, from computed values."""

from .attention import bottleneck_and_attention, two_ways, what_the_gate_sees
from .colored_text import colored_text, visible
from .embedding import embedding_lookup
from .language_model import character_mapping, character_model, generation_steps, next_character
from .lstm import lstm_blocks, lstm_cell
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
