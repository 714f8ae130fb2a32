"""Self-supervised targets: what is hidden, where, and what follows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltarule import data
from deltarule.errors import ArgumentError, DataError


@pytest.mark.notes("DA-21", "AE-08")
@given(st.integers(1, 5), st.integers(2, 9), st.floats(0.05, 0.95), st.integers(0, 9))
def test_masked_inputs_hide_and_targets_keep(n, size, fraction, seed):
    x = np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)
    hidden = data.masked_pretext(x, fraction, seed, fill=-7.0)
    np.testing.assert_array_equal(hidden.targets, x)
    np.testing.assert_array_equal(hidden.inputs[~hidden.mask], x[~hidden.mask])
    assert (hidden.inputs[hidden.mask] == -7).all()
    np.testing.assert_array_equal(hidden.mask.sum(axis=1), int(fraction * size + 0.5))
    assert hidden.inputs.dtype == np.float32


@pytest.mark.notes("DA-21")
def test_patches_of_pictures_are_hidden_whole():
    x = np.ones((6, 8, 8, 3))
    hidden = data.masked_pretext(x, 0.5, patch=(2, 4, 3))
    blocks = (
        hidden.mask.reshape(6, 4, 2, 2, 4, 1, 3)
        .transpose(0, 1, 3, 5, 2, 4, 6)
        .reshape(6, 8, -1)
    )
    assert (blocks.all(axis=2) | ~blocks.any(axis=2)).all()
    np.testing.assert_array_equal(blocks.all(axis=2).sum(axis=1), 4)
    assert len({tuple(one.ravel()) for one in hidden.mask}) > 1, (
        "each example hides places of its own"
    )


@pytest.mark.notes("DA-21")
def test_words_stay_whole_numbers():
    hidden = data.masked_pretext(np.arange(1, 13).reshape(2, 6), 0.34, fill=0)
    assert hidden.inputs.dtype.kind == "i"
    assert ((hidden.inputs == 0) == hidden.mask).all()
    assert hidden.mask.sum(axis=1).tolist() == [2, 2]


@pytest.mark.notes("DA-21")
def test_next_frame():
    frames = np.arange(5 * 2 * 2).reshape(5, 2, 2)
    task = data.next_step_pretext(frames, 3)
    assert task.inputs.shape == (2, 3, 2, 2)
    for i in range(2):
        np.testing.assert_array_equal(task.inputs[i], frames[i : i + 3])
        np.testing.assert_array_equal(task.targets[i], frames[i + 3])
    assert task.mask is None


def test_pretext_tasks_refuse_what_they_cannot_hide():
    x = np.ones((2, 4, 4))
    for arguments, error in (
        ({"fraction": 0.0}, ArgumentError),
        ({"fraction": 1.0}, ArgumentError),
        ({"patch": (3, 4)}, ArgumentError),
        ({"patch": (2,)}, ArgumentError),
        ({"patch": (0, 4)}, ArgumentError),
    ):
        with pytest.raises(error):
            data.masked_pretext(x, **arguments)
    with pytest.raises(DataError):
        data.masked_pretext([1.0, 2.0])
    with pytest.raises(DataError, match="more than 3"):
        data.next_step_pretext([1, 2, 3], 3)
    with pytest.raises(ArgumentError):
        data.next_step_pretext([1, 2, 3], 0)
