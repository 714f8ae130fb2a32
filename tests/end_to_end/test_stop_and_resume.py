"""Real signals to a real process: Ctrl-C and a kill in mid-epoch; the resumed run has the same bytes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import hashlib, json, sys
import numpy as np
from deltarule import nn, optim, train

class Tell(train.Callback):
    every = 50
    def on_steps(self, session):
        print(session.step, flush=True)

rng = np.random.default_rng(0)
y = rng.integers(0, 3, 403)
x = rng.normal(size=(403, 6)) + y[:, None]
model = nn.Sequential(nn.Linear(6, 12), nn.BatchNorm(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 3))
path, epochs, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "resume"
history = model.fit(
    x, y, loss="cross_entropy", optimizer=optim.Adam(learning_rate=optim.CosineDecay(0.01, 2000)), epochs=epochs,
    batch_size=16, validation_split=0.1, callbacks=[Tell(), train.EarlyStopping(patience=50)], verbose=0, seed=3,
    checkpoint=path, checkpoint_every=70, resume=resume,
)
digest = hashlib.sha256()
for name, value in sorted(model.state_dict().items()):
    digest.update(value.tobytes())
print(json.dumps({"interrupted": history.interrupted, "steps": history.steps, "sha": digest.hexdigest(),
                  "losses": history.step_losses, "best": history.best_epoch}))
"""
EPOCHS = 30  # of 23 steps


def _start(path: Path, resume: bool = False) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        SCRIPT,
        str(path),
        str(EPOCHS),
        "resume" if resume else "anew",
    ]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen[str]) -> dict[str, object]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    answer: dict[str, object] = json.loads(out.splitlines()[-1])
    return answer


def _stopped_after(
    process: subprocess.Popen[str], step: int, number: signal.Signals
) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= step:
            break
    process.send_signal(number)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return _finish(_start(tmp_path_factory.mktemp("whole") / "run.dr"))


def test_ctrl_c_in_mid_epoch(tmp_path, whole):
    path = tmp_path / "run.dr"
    process = _start(path)
    _stopped_after(process, 300, signal.SIGINT)
    stopped = _finish(process)
    assert stopped["interrupted"] and 300 <= stopped["steps"] < whole["steps"]
    resumed = _finish(_start(path, resume=True))
    assert resumed == whole and not whole["interrupted"]


def test_a_kill_in_mid_epoch(tmp_path, whole):
    path = tmp_path / "run.dr"
    process = _start(path)
    _stopped_after(process, 300, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert [
        file.name for file in tmp_path.iterdir() if not file.name.startswith(".")
    ] == ["run.dr"]
    assert _finish(_start(path, resume=True)) == whole
