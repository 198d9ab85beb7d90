"""``checks.<exercise>(answer)``: one function for each exercise, one module for each chapter."""

from helpers.checks.chapter_01 import (
    bigram_twins,
    forecast,
    last_real_output,
    split_in_time,
    task_shapes,
    time_to_batch,
    windows_ahead,
)
from helpers.checks.chapter_02 import (
    any_rnn,
    both_readings,
    in_windows,
    repaired_listing,
    rnn_parameters,
    state_after_last_day,
    through_time,
)
from helpers.checks.chapter_03 import (
    adding_solved,
    carry_state,
    clip_by_norm,
    clipped_step,
    first_up_then_down,
    steps_until_vanished,
)
from helpers.checks.chapter_04 import (
    from_iofg,
    last_layer_state,
    latch,
    open_forget_gates,
    parameter_count,
    peephole_step,
)

__all__ = [
    "adding_solved",
    "any_rnn",
    "bigram_twins",
    "both_readings",
    "carry_state",
    "clip_by_norm",
    "clipped_step",
    "first_up_then_down",
    "forecast",
    "from_iofg",
    "in_windows",
    "last_layer_state",
    "last_real_output",
    "latch",
    "open_forget_gates",
    "parameter_count",
    "peephole_step",
    "repaired_listing",
    "rnn_parameters",
    "split_in_time",
    "state_after_last_day",
    "steps_until_vanished",
    "task_shapes",
    "through_time",
    "time_to_batch",
    "windows_ahead",
]
