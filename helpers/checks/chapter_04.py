"""The exercises of chapter 4, *The LSTM cell*."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from helpers.checks.core import Hint, call, close, exercise, tensor


@exercise
def last_layer_state(function: Callable) -> str:
    """4.1: the hidden state of the top layer after the last step, from ``lstm`` and ``x``."""
    torch.manual_seed(4)
    lstm, x = nn.LSTM(3, 5, num_layers=2, batch_first=True), torch.randn(4, 6, 3)
    with torch.no_grad():
        out, (h, c) = lstm(x)
        cell_of_step = [lstm(x[:, : t + 1])[1][1][-1] for t in range(6)]
    answer = call(function, lstm, x)
    if isinstance(answer, tuple | list):
        raise Hint("This is a tuple, as the layer returns it. Unpack it and hand back one tensor.")
    answer = tensor(answer)
    if close(answer, h[-1]):
        return "One state per sequence, (4, 5): the top layer's h after the last step."
    for wrong, hint in (
        (c[-1], "These are the cell states C of the top layer. What a cell shows to the outside is "
                "h, the cell state after tanh and output gate."),
        (c[0], "These are the cell states C, and of the layer at the bottom."),
        (h[0], "This is the layer at the bottom: the first axis of h_n counts the layers from the "
               "input upward."),
        (h, "This is h_n with all its layers, (layers, batch, hidden). Only one is asked for."),
        (c, "This is c_n, the cell states of all layers. The visible state is h."),
        (out, "This is the state after every step, (batch, time, hidden). Only the last step is "
              "asked for."),
        (out[-1], "This is the last sequence of the batch, all its steps: with batch_first=True "
                  "the first axis counts the sequences."),
        (out[:, 0], "This is the state after the first step: it has seen one step of the six."),
        (out.mean(1), "This is the mean over all steps, not the state after the last."),
        (cell_of_step[0], "This is a cell state, and after the first step."),
    ):  # fmt: skip
        if close(answer, wrong):
            raise Hint(hint)
    if answer.shape != h[-1].shape:
        raise Hint(
            f"For 4 sequences and 5 hidden units this gave the shape {tuple(answer.shape)}; "
            "expected is one state for each sequence, (4, 5)."
        )
    raise Hint("The shape is right, the numbers are those of no state that the layer returned.")


@exercise
def parameter_count(function: Callable) -> str:
    """4.2: weights and biases of a layer, for three kinds of cells and any sizes."""
    blocks = {"RNN": 1, "GRU": 3, "LSTM": 4}

    def fits(formula):
        return all(answers[k, d, h] == formula(blocks[k], d, h) for k, d, h in answers)

    answers = {}
    for kind in blocks:
        for d, h in ((3, 5), (20, 64), (7, 7)):
            value = call(function, kind, d, h)
            if isinstance(value, str | bytes | complex) or not hasattr(value, "__float__"):
                raise Hint(f"A number is expected for each call, this is {value!r}.")
            answers[kind, d, h] = float(value)
    if fits(lambda n, d, h: n * (h * d + h * h + 2 * h)):
        return "1 : 3 : 4. An LSTM(20, 64) has 22,016 numbers to learn, a GRU 16,512, an RNN 5,504."
    for formula, hint in (
        (lambda n, d, h: h * d + h * h + 2 * h,
         "Every kind of cell gets the same number. How many blocks of rows do the gates need?"),
        (lambda n, d, h: n * (h * d + h * h + h),
         "One vector of biases per block is counted. PyTorch keeps two, b_ih and b_hh."),
        (lambda n, d, h: n * (h * d + h * h), "The biases are missing."),
        (lambda n, d, h: n * (h * d + 2 * h),
         "The edge from h to h is missing: each block has a square matrix of its own for it."),
        (lambda n, d, h: n * (h * d + h),
         "This counts the weights from the input alone. The state enters every gate too."),
        (lambda n, d, h: n * (h * d + d * d + 2 * h),
         "The recurrent matrix leads from the hidden units to the hidden units, not from the "
         "inputs to the inputs."),
        (lambda n, d, h: {1: 1, 3: 2, 4: 3}[n] * (h * d + h * h + 2 * h),
         "The gates are counted, the candidate is not: it has weights too."),
        (lambda n, d, h: min(n + (n > 1), 4) * (h * d + h * h + 2 * h),
         "The GRU has as many here as the LSTM. It does with one gate fewer."),
    ):  # fmt: skip
        if fits(formula):
            raise Hint(hint)
    for (kind, d, h), value in answers.items():
        if value != blocks[kind] * (h * d + h * h + 2 * h):
            raise Hint(
                f"For {kind}({d}, {h}) this gives {value:g}; sum up the parameters of "
                f"nn.{kind}({d}, {h}), one by one, and compare."
            )
    raise Hint("The sums do not fit.")


@exercise
def from_iofg(function: Callable) -> str:
    """4.3: rows stacked as i, o, f, g into PyTorch's order i, f, g, o."""
    for hidden, columns in ((3, 5), (4, 16)):
        rows = torch.arange(4.0 * hidden * columns).reshape(4 * hidden, columns)
        i, o, f, g = rows.chunk(4)
        answer = tensor(call(function, rows))
        if answer.shape != rows.shape and not (
            answer.dim() == 2 and close(answer.T, torch.cat([i, f, g, o]))
        ):
            raise Hint(
                f"A matrix of shape {tuple(rows.shape)} came back with the shape "
                f"{tuple(answer.shape)}. Rows change places, nothing is added or lost."
            )
        for wrong, hint in (
            (rows, "The rows came back in the order in which they went in."),
            (torch.cat([i, g, o, f]), "Each block moved the wrong way: this turns i, f, g, o into "
                                      "i, o, f, g. Which block of the given rows is f?"),
            (torch.cat([i, f, o, g]), "Input and forget gate are in place, the other two are not. "
                                      "Which one does PyTorch put last?"),
            (torch.cat([f, i, g, o]), "The forget gate stands first. PyTorch begins with another."),
            (torch.cat([i, f, g, o]).T, "The blocks are right, but rows became columns."),
        ):  # fmt: skip
            if close(answer, wrong):
                raise Hint(hint)
        if close(answer, torch.cat([i, f, g, o])):
            continue
        if close(answer.sort(1).values, rows):
            raise Hint("The columns were moved. The gates are stacked along the rows.")
        blocks = answer.reshape(4, hidden, columns)
        if close(answer.sort(0).values, rows) and bool((blocks.diff(dim=1) != columns).any()):
            raise Hint("The blocks are torn apart: each gate owns hidden_size rows in a row.")
        raise Hint("The four blocks are not in the order i, f, g, o. Where did each come from?")
    return "The same rows, gate by gate in PyTorch's order: i, f, g, o."


@exercise
def open_forget_gates(function: Callable) -> str:
    """4.4: an ``nn.LSTM`` whose forget gates start with the net bias ``b`` in every layer."""
    size, layers = 4, 2
    for b in (5.0, 1.0):
        torch.manual_seed(4)
        lstm = call(function, 3, size, layers, b)
        if not isinstance(lstm, nn.LSTM):
            raise Hint(f"An nn.LSTM is expected, this is of type {type(lstm).__name__}.")
        if (lstm.input_size, lstm.hidden_size, lstm.num_layers) != (3, size, layers):
            raise Hint("The layer has other sizes than those that were asked for.")
        if not lstm.bias:
            raise Hint("The layer was made without biases.")
        for layer in range(layers):
            ih, hh = (
                getattr(lstm, f"bias_{name}_l{layer}").detach().double() for name in ("ih", "hh")
            )
            _forget_rows(ih, hh, size, b, layer)
    return "sigmoid(1) = 0.73 and sigmoid(5) = 0.99: the gates open as far as you say."


def _forget_rows(ih: torch.Tensor, hh: torch.Tensor, size: int, b: float, layer: int):
    """Compare the two biases of one layer with what b asks for; raise the fitting hint."""
    total = (ih + hh).reshape(4, size)  # rows: i, f, g, o
    is_b = [close(row, torch.full((size,), b), 1e-4) for row in total]
    if all(is_b):
        raise Hint("All four blocks start at b. Only the forget gate is meant to be opened.")
    if is_b[1]:
        for row, name in ((0, "input gate"), (2, "candidate"), (3, "output gate")):
            rows = slice(row * size, (row + 1) * size)
            if any(bool((bias[rows] == bias[rows][0]).all()) for bias in (ih, hh)):
                raise Hint(
                    f"The forget gates are right, but biases of the {name} have been set as well. "
                    "Change only the rows of the forget gate."
                )
        return
    for row, name in ((0, "input gate"), (2, "candidate"), (3, "output gate")):
        if is_b[row] or close(total[row], torch.full((size,), 2 * b), 1e-4):
            raise Hint(f"These rows belong to the {name}. In which order are the blocks stacked?")
    if layer and bool((total[1].abs() <= 1).all()):
        raise Hint("The first layer is right, the layers above it still start at random.")
    forget = total[1]
    if close(forget, torch.full((size,), 2 * b), 1e-4):
        raise Hint(
            f"The net bias of the forget gate is {2 * b:g} where {b:g} was asked for: PyTorch adds "
            "two biases."
        )
    if bool(((forget - b).abs() <= 1).all()):
        raise Hint(
            "The net bias is near b, but another number for each unit: one of the two biases "
            "still holds its random start."
        )
    raise Hint(f"b_ih + b_hh of the forget gate begins with {forget[0]:.3g}, not with {b:g}.")


@exercise
def latch(answer: Sequence[float]) -> str:
    """4.5: four numbers that make one cell keep a value for 1,000 steps and overwrite it."""
    b_f, w_f, b_i, w_i = tensor(answer, (4,), "The answer (b_f, w_f, b_i, w_i)").tolist()
    if not all(map(math.isfinite, (b_f, w_f, b_i, w_i))):
        raise Hint("Finite numbers, please: a gate never needs to be exactly 0 or 1.")

    def gate(z):
        return 1 / (1 + math.exp(-max(-700.0, min(700.0, z))))

    keep, closed = gate(b_f), gate(b_i)
    erase, write = gate(b_f + w_f), gate(b_i + w_i)
    if keep**1000 < 0.99:
        raise Hint(
            f"While nothing is written the forget gate is {keep:.5f}; after 1,000 steps a share of "
            f"{keep**1000:.2g} is left."
        )
    if 1000 * closed > 0.01:
        raise Hint(
            f"While nothing is written the input gate is {closed:.2g}. That lets in so much of "
            "each step that a thousand steps of other values spoil what is stored."
        )
    if write < 0.99:
        raise Hint(
            f"When the flag is 1 the input gate is only {write:.2g}: the value hardly enters."
        )
    if erase > 0.01:
        raise Hint(
            f"When the flag is 1 the forget gate is {erase:.2g}: a second value is added to the "
            "first instead of replacing it."
        )
    return "Written once, kept for 1,000 noisy steps, replaced by the next value: a latch."


def _peephole(x, h, C, W_ih, W_hh, b, p, look=("old", "new"), order=(0, 1, 2), g_too=False):
    """Compute one peephole step or, with other arguments than the default, a mistaken one."""
    z = x @ W_ih.T + h @ W_hh.T + b
    i, f, g, o = z.chunk(4, dim=1)
    p_i, p_f, p_o = p[list(order)]
    look_if, look_o = look
    if look_if == "old":
        i, f = i + p_i * C, f + p_f * C
    if g_too:
        g = g + p_i * C
    old = C
    C = torch.sigmoid(f) * C + torch.sigmoid(i) * torch.tanh(g)
    if look_o != "none":
        o = o + p_o * (C if look_o == "new" else old)
    return torch.sigmoid(o) * torch.tanh(C), C


@exercise
def peephole_step(function: Callable) -> str:
    """4.6: one step of an LSTM whose gates look at the cell state."""
    torch.manual_seed(4)
    inputs = [
        torch.randn(*shape).double()
        for shape in ((2, 3), (2, 5), (2, 5), (20, 3), (20, 5), (20,), (3, 5))
    ]
    with torch.no_grad():
        answer = call(function, *inputs)
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise Hint("A step hands back two tensors, h and C.")
        h, C = (tensor(a, (2, 5), what) for a, what in zip(answer, "hC", strict=True))
        right = _peephole(*inputs)
        if close(h, right[0]) and close(C, right[1]):
            return "The gates look: i and f at the old cell state, o at the new one."
        for more, hint in (
            ({"look": ("none", "none")}, "This is the step without peepholes: p has no effect."),
            ({"look": ("old", "old")}, "C is right, h is not: the output gate acts last, so it can "
                                      "look at the cell state that has just been made."),
            ({"look": ("old", "none")}, "C is right, h is not: the output gate looks too."),
            ({"look": ("none", "new")}, "The output gate looks at the cell, but the input and the "
                                        "forget gate do not."),
            ({"order": (1, 0, 2)}, "Two peepholes are exchanged: the rows of p are i, f, o."),
            ({"g_too": True}, "The candidate looks at the cell as well. It is no gate and has no "
                              "peephole."),
        ):  # fmt: skip
            wrong = _peephole(*inputs, **more)
            if close(h, wrong[0]) and close(C, wrong[1]):
                raise Hint(hint)
    if close(h, right[1]) and close(C, right[0]):
        raise Hint("The numbers are right, h and C came back in the other order.")
    if close(C, right[1]):
        raise Hint("C is right, h is not. What does the output gate see, and what does it gate?")
    raise Hint("C is not right yet. Begin from lstm_step: what does each gate see in addition?")
