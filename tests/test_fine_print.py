"""What the docstrings of the helpers say in passing; each test has let no mutant live."""

import io
import tarfile

import pytest
import torch
from torch import nn

from helpers import checks, data


def test_a_sparse_file_is_no_review(tmp_path):
    info = tarfile.TarInfo("aclImdb/train/neg/1_9.txt")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 3
    path = tmp_path / "aclImdb_v1.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(info, io.BytesIO(b"bad"))
    with path.open("rb") as file, pytest.raises(data.DataError, match="link or device"):
        data._members(path, file)


def test_a_right_out_does_not_excuse_a_wrong_h_n():
    def by_hand(rnn, x):
        options = {"bidirectional": rnn.bidirectional, "nonlinearity": rnn.nonlinearity}
        twin = nn.RNN(3, 4, rnn.num_layers, batch_first=True, **options)
        twin.load_state_dict(rnn.state_dict())
        out, h_n = twin(x)
        return out, torch.zeros_like(h_n) if rnn.num_layers == 3 else h_n

    verdict = checks.any_rnn(by_hand)
    assert verdict.state == "hint"
    assert "h_n is not yet" in verdict.message


def test_a_latch_must_let_go():
    verdict = checks.latch((15.0, -15.0, -15.0, 30.0))  # half of the old value stays
    assert verdict.state == "hint"
    assert "forget gate is 0.5" in verdict.message
