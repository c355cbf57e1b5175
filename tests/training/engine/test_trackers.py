"""TensorBoard and MLflow beside metrics.jsonl: what they are told, and what is said when a package is missing."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from training.engine import train
from training.engine.recipes import overridden


class Writer:
    made: list["Writer"] = []

    def __init__(self, folder, purge_step=None):
        self.folder, self.purge_step, self.rows, self.closed = folder, purge_step, [], False
        Writer.made.append(self)

    def add_scalar(self, name, value, step):
        self.rows.append((name, value, step))

    def close(self):
        self.closed = True


@pytest.fixture
def tensorboard(monkeypatch):
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(Writer, "made", [])
    return Writer.made


class ServerGone(Exception):
    pass


class Server:
    """What an MLflow server has of the run: every number that it was ever told."""

    def __init__(self, calls):
        self._points = [(name, step) for what, *given in calls if what == "metrics" for values, step in [given] for name in values]

    def get_run(self, run_id):
        return SimpleNamespace(data=SimpleNamespace(metrics=dict.fromkeys(name for name, _ in self._points)))

    def get_metric_history(self, run_id, key):
        return [SimpleNamespace(step=step) for name, step in self._points if name == key]


@pytest.fixture
def mlflow(monkeypatch):
    """A module that keeps what it was asked."""
    module, calls = ModuleType("mlflow"), []
    module.start_run = lambda **given: calls.append(("start", given)) or SimpleNamespace(info=SimpleNamespace(run_id="abc"))
    module.log_params = lambda values: calls.append(("params", values))
    module.log_metrics = lambda values, step: calls.append(("metrics", values, step))
    module.end_run = lambda status: calls.append(("end", status))
    module.MlflowClient = lambda: Server(calls)
    module.exceptions = SimpleNamespace(MlflowException=ServerGone)
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    return calls


def test_both_are_told_every_number_and_a_resumed_run_goes_on(release, tmp_path, tiny, tensorboard, mlflow, monkeypatch):
    recipe, folder = overridden(tiny, {"tensorboard": "true", "epochs": 1, "val_fraction": 0.0}), tmp_path / "run"
    scored = train.Run._score_epoch
    with monkeypatch.context() as patched:
        patched.setattr(train.Run, "_score_epoch", lambda run: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train.train(recipe, release, folder)
    assert train.Run._score_epoch is scored
    train.train(recipe, release, folder, resume=True)
    before, after = tensorboard
    assert (before.closed, after.closed) == (True, True)
    assert before.folder == str(folder / "tensorboard")
    assert (before.purge_step, after.purge_step) == (None, 4)  # 18 clips: three steps
    assert [(name, step) for name, _, step in before.rows if name == "train/loss"] == [("train/loss", step) for step in (1, 2, 3)]
    assert {name for name, _, _ in after.rows} == {f"train_epoch/{name}" for name in ("loss", "acc", "wa_f1", "uar")}
    assert [given for what, *given in mlflow if what == "start"] == [[{"run_name": "debug-1"}], [{"run_id": "abc"}]]
    assert sum(what == "params" for what, *_ in mlflow) == 1
    assert [call for call in mlflow if call[0] == "metrics"][-1][1].keys() == {name for name, _, _ in after.rows}
    assert [call for call in mlflow if call[0] == "end"] == [("end", "FAILED"), ("end", "FINISHED")]


def test_steps_done_again_after_a_kill_are_sent_once(release, tmp_path, tiny, mlflow, monkeypatch):
    recipe, folder = overridden(tiny, {"val_fraction": 0.0}), tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(train.Run, "_save_checkpoint", lambda run: None)  # the kill takes all back to the beginning
        patched.setattr(train.Run, "_finish", lambda run: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train.train(recipe, release, folder)
    train.train(overridden(recipe, {"log_every": 1}), release, folder, resume=True)
    sent = [(name, step) for what, *given in mlflow if what == "metrics" for values, step in [given] for name in values]
    assert len(sent) == len(set(sent))
    assert {step for name, step in sent if name == "train/loss"} == {1, 2, 3, 4, 5, 6}


def test_a_server_that_goes_away_costs_its_numbers_and_not_the_run(release, tmp_path, tiny, mlflow, monkeypatch, capsys):
    asked = []

    def gone(*given, **named):
        asked.append(given)
        raise ServerGone("connection refused")

    monkeypatch.setattr(sys.modules["mlflow"], "log_metrics", gone)
    train.train(overridden(tiny, {"epochs": 1, "val_fraction": 0.0}), release, tmp_path / "run")
    assert (tmp_path / "run" / "finished.json").is_file()
    assert len(asked) == 1
    assert capsys.readouterr().err.count("MLflow is told no more of this run (connection refused)") == 1
    monkeypatch.setattr(sys.modules["mlflow"], "start_run", gone)
    with pytest.raises(ValueError, match="connection refused; start that server, or unset MLFLOW_TRACKING_URI"):
        train.train(tiny, release, tmp_path / "second")


def test_a_stopped_run_is_not_called_finished(release, tmp_path, tiny, mlflow, monkeypatch):
    monkeypatch.setattr(train.Run, "_stop_agreed", lambda run: True)
    with pytest.raises(train.Stopped):
        train.train(tiny, release, tmp_path / "run")
    assert mlflow[-1] == ("end", "KILLED")


@pytest.mark.parametrize(
    ("module", "environment", "changes", "said"),
    [
        ("torch.utils.tensorboard", {}, {"tensorboard": "true"}, "pip install tensorboard, or set tensorboard=false"),
        ("mlflow", {"MLFLOW_TRACKING_URI": "http://localhost:5000"}, {}, "pip install mlflow, or unset MLFLOW_TRACKING_URI"),
    ],
)
def test_a_missing_package_is_named_before_anything_is_trained(release, tmp_path, tiny, monkeypatch, module, environment, changes, said):
    monkeypatch.setitem(sys.modules, module, None)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=said):
        train.train(overridden(tiny, changes), release, tmp_path / "run")
    assert '"split"' not in (tmp_path / "run" / "metrics.jsonl").read_text()
