"""The folder of a run: what a crash, a kill or a number that is none can do to it."""

import contextlib
import json
import math
import os
import pickle
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch.utils.data import DataLoader, RandomSampler

from colorize_lib.checkpoints import CheckpointError, load_checkpoint, read_header
from colorize_lib.data import LabLoader, make_dataloaders, sample_photos
from colorize_lib.models import PatchDiscriminator, build_generator
from colorize_lib.photos import open_photo
from colorize_lib.photos.folders import RUN_FILE, find_photos
from colorize_lib.training import L1Pretraining, fit, pretrain, train_adversarial
from colorize_lib.training.run_folder import RunError, RunFolder, read_history, read_tree, seal, write_tree
from colorize_lib.training.runs import Budget, DivergedError, RunState


@pytest.fixture(scope="module")
def loaders():
    """Three batches of four photos."""
    return make_dataloaders(sample_photos("train")[:12], size=32, batch_size=4, device="cpu")


def small() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_generator("unet", downs=5, filters=4)


def train(loaders, out: Path | None, epochs: float = 2, **options) -> list[dict[str, float]]:
    return pretrain(small(), loaders, epochs, out=out, save_minutes=0, progress=False, **options)


@pytest.fixture(scope="module")
def finished(loaders, tmp_path_factory):
    """Two epochs, six steps, the state saved after each."""
    out = tmp_path_factory.mktemp("finished") / "run"
    train(loaders, out)
    return out


@pytest.fixture()
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def names(out: Path) -> list[str]:
    return [state.name for state in RunFolder(out, resume=True).states()]


def test_the_seed_is_0_unless_told_otherwise(loaders):
    """Seen on the dropout."""

    def loss(**seed: int) -> float:
        torch.manual_seed(0)
        generator = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.Dropout())
        return fit(L1Pretraining(generator), loaders, 1, progress=False, **seed)[0]["l1"]

    assert loss() == loss(seed=0) != loss(seed=1)


@pytest.fixture(scope="module")
def validated():
    """Two batches to train on, and six photos to validate with."""
    photos = sample_photos("train")[:14]
    return make_dataloaders(photos[:8], photos[8:], size=32, batch_size=4, device="cpu")


def test_sample_pictures_show_as_many_photos_as_asked(validated, tmp_path):
    train(validated, tmp_path / "run", 1, samples=2)
    assert open_photo(tmp_path / "run/samples/epoch_0001.jpg").shape == (2 * 32, 3 * 32, 3)


def test_no_sample_pictures_are_made_if_none_are_asked_for(validated, tmp_path):
    train(validated, tmp_path / "run", 1, samples=0)
    assert not (tmp_path / "run/samples").exists()


@pytest.mark.parametrize("every", [0, -1])
def test_an_interval_of_no_epochs_is_refused_before_the_training(validated, every, tmp_path):
    """It divided by zero after the first epoch."""
    with pytest.raises(ValueError, match=f"validate_every is {every}: take 1"):
        train(validated, tmp_path / "run", 2, validate_every=every)
    assert not (tmp_path / "run").exists()


def test_notes_are_kept_beside_the_weights(validated, tmp_path):
    train(validated, tmp_path / "run", 1, made_by={"photos of": "my grandmother"})
    made_by = read_header(tmp_path / "run/generator.safetensors")["made_by"]
    assert made_by["photos of"] == "my grandmother"


def test_validation_is_at_every_second_epoch_if_asked_and_at_the_end(validated):
    history = train(validated, None, 5, validate_every=2)
    assert ["valid_ab_error" in row for row in history] == [False, True, False, True, True]


def test_nothing_is_printed_without_progress(validated, capsys):
    train(validated, None, 1)
    assert capsys.readouterr() == ("", "")


def test_progress_is_a_line_for_each_validation(validated, capsys):
    pretrain(small(), validated, 2)
    lines = [line for line in capsys.readouterr().out.splitlines() if "valid_ab_error" in line]
    assert len(lines) == 2


def test_two_states_are_kept(run):
    assert names(run) == ["step_00000006", "step_00000005"]


def empty(file: Path) -> None:
    file.write_bytes(b"")


def halve(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("damage", [empty, halve, flip_a_bit, Path.unlink])
@pytest.mark.parametrize("file", ["state.safetensors", "random_0.safetensors", "checksums.json"])
def test_a_damaged_state_falls_back_to_the_one_before(run, loaders, finished, file, damage):
    damage(run / "state" / "step_00000006" / file)
    with pytest.warns(UserWarning, match="step_00000006 is damaged .*: resuming from the state before it"):
        history = train(loaders, run, resume=True)
    assert [row["step"] for row in history] == [3, 6]
    before, after = (load_file(out / "generator.safetensors") for out in (finished, run))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert names(run) == ["step_00000006", "step_00000005"]


def test_one_sentence_when_no_state_is_whole(run, loaders):
    for state in (run / "state").iterdir():
        empty(state / "state.safetensors")
    with (
        pytest.warns(UserWarning, match="step_00000006 is damaged"),
        pytest.raises(RunError, match="no state of the run in .* can be resumed.*generator.safetensors$"),
    ):
        train(loaders, run, 3, resume=True)
    assert load_checkpoint(run / "generator.safetensors")


def test_a_damaged_state_ahead_of_the_run_does_not_count_among_the_two(run, loaders):
    empty(run / "state" / "step_00000006" / "state.safetensors")
    (run / "state" / "step_00000006").rename(run / "state" / "step_00000099")
    with pytest.warns(UserWarning, match="step_00000099 is damaged"):
        train(loaders, run, resume=True)
    assert names(run) == ["step_00000006", "step_00000005"]


def test_what_gets_a_final_name_is_on_the_disk_and_older_states_go_last(tmp_path, loaders, monkeypatch):
    synced, deleted = set(), []
    fsync, replace, rename, rmtree = os.fsync, os.replace, Path.rename, shutil.rmtree

    def watched_fsync(handle):
        synced.add(os.fstat(handle).st_ino)
        fsync(handle)

    def check(path, target):
        files = [path, *Path(path).rglob("*")] if Path(path).is_dir() else [path]
        unsynced = [str(file) for file in files if os.stat(file).st_ino not in synced]
        assert not unsynced or Path(target).suffix == ".jpg"

    def watched_replace(path, target):
        check(path, target)
        replace(path, target)

    def watched_rename(path, target):
        check(path, target)
        return rename(path, target)

    def watched_rmtree(path, **options):
        if Path(path).name.startswith("step_") and Path(path).exists():
            newest = max((tmp_path / "run" / "state").glob("step_*"))
            deleted.append(Path(path).name)
            assert newest.stat().st_ino in synced
            assert read_header(tmp_path / "run/generator.safetensors")["made_by"]["step"] == int(
                newest.name[5:]
            )
        rmtree(path, **options)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    monkeypatch.setattr(Path, "rename", watched_rename)
    monkeypatch.setattr(shutil, "rmtree", watched_rmtree)
    train(loaders, tmp_path / "run")
    assert deleted == [f"step_0000000{n}" for n in (1, 2, 3, 4)]


class Diverging(L1Pretraining):
    """Its loss, or a weight, becomes no number at some step."""

    def __init__(self, generator, at: int, loss: float = 0.0, weight: float = 0.0):
        super().__init__(generator)
        self.steps, self.at, self.loss, self.weight = 0, at, loss, weight

    def step(self, batch, accelerator):
        losses = super().step(batch, accelerator)
        self.steps += 1
        if self.steps == self.at:
            next(self.networks["generator"].parameters()).data.view(-1)[0] += self.weight
            losses["l1"] = losses["l1"] + self.loss
        return losses


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_weights(loaders, tmp_path, value):
    method = Diverging(small(), at=5, loss=value)
    with pytest.raises(
        DivergedError, match=f"step 5, because the loss 'l1' is {value}; .* of step 4 are kept"
    ):
        fit(method, loaders, 3, out=tmp_path / "run", save_minutes=0, progress=False)
    assert method.steps == 5
    weights = load_checkpoint(tmp_path / "run" / "generator.safetensors").state_dict()
    assert all(value.isfinite().all() for value in weights.values())
    assert read_header(tmp_path / "run" / "generator.safetensors")["made_by"]["step"] == 4
    assert names(tmp_path / "run") == ["step_00000004", "step_00000003"]


def test_weights_that_are_no_numbers_are_not_saved(loaders, tmp_path):
    """The loss of this step was still a number."""
    method = Diverging(small(), at=2, weight=math.nan)
    with pytest.raises(
        DivergedError, match="some weights of the generator .* of step 1 are kept: start a new run"
    ):
        fit(method, loaders, 3, out=tmp_path / "run", save_minutes=0, progress=False)
    assert names(tmp_path / "run") == ["step_00000001"]


def test_a_diverged_run_without_a_folder_says_what_to_do(loaders):
    with pytest.raises(DivergedError, match="start again with a smaller learning rate"):
        fit(Diverging(small(), at=1, loss=math.nan), loaders, 1, progress=False)


def test_a_diverged_run_is_resumed_from_before(loaders, tmp_path):
    with pytest.raises(DivergedError):
        fit(Diverging(small(), at=5, loss=math.nan), loaders, 2, out=tmp_path, save_minutes=0, progress=False)
    history = fit(Diverging(small(), at=99), loaders, 2, out=tmp_path, resume=True, progress=False)
    assert [row["step"] for row in history] == [3, 6]


def computes_in(generator: torch.nn.Module) -> torch.dtype:
    types = []
    generator.model.down[0].register_forward_hook(lambda module, inputs, output: types.append(output.dtype))
    generator(torch.rand(1, 1, 32, 32))
    return types[0]


def test_a_stopped_run_leaves_no_autocast_behind(loaders):
    generator = small()
    with pytest.raises(DivergedError):
        fit(Diverging(generator, 1, math.nan), loaders, 1, mixed_precision="bf16", progress=False)
    assert computes_in(generator) == torch.float32


def test_a_run_that_cannot_begin_leaves_no_autocast_behind(loaders, tmp_path):
    generator = small()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written to"):
        pretrain(generator, loaders, 1, out=tmp_path / "file" / "run", mixed_precision="bf16", progress=False)
    assert computes_in(generator) == torch.float32


def test_a_method_that_is_used_again_learns_at_its_own_rates(loaders):
    """The schedule had lowered them to nearly nothing; a second run took that for the highest."""
    method = L1Pretraining(small(), lr=1e-3)
    optimizer = method.optimizers["generator"]
    fit(method, loaders, 1, schedule="linear_decay", progress=False)
    assert method.optimizers["generator"] is optimizer
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3]


@pytest.fixture()
def in_use(run, monkeypatch):
    """The folder of a run in which a training is at work."""
    monkeypatch.setattr(RunFolder, "WAIT", 0.0)
    first = RunFolder(run, resume=True)
    first.lock(Accelerator(cpu=True), json.loads((run / RUN_FILE).read_text()))
    yield first
    first.unlock()


def test_a_second_training_in_the_same_folder_is_refused(in_use, loaders):
    with pytest.raises(RunError, match=f"another training is at work in {in_use.path}: wait until it"):
        train(loaders, in_use.path, 3, resume=True)


def test_a_second_training_leaves_the_first_ones_files_alone(in_use, loaders):
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in in_use.path.rglob("*")}

    before = files()
    with pytest.raises(RunError):
        train(loaders, in_use.path, 3, resume=True)
    assert files() == before


def test_a_folder_is_free_again_after_its_training(in_use, loaders):
    in_use.unlock()
    assert len(train(loaders, in_use.path, 3, resume=True)) == 3


def test_a_folder_is_free_again_after_a_run_that_could_not_begin(run, loaders, monkeypatch):
    monkeypatch.setattr(RunFolder, "WAIT", 0.0)
    with pytest.raises(RunError, match="another method"):
        train_adversarial(small(), loaders, None, 3, out=run, resume=True, progress=False)
    assert len(train(loaders, run, 3, resume=True)) == 3


def test_a_run_that_another_training_has_finished_meanwhile_is_not_overwritten(run, finished, monkeypatch):
    shutil.rmtree(run)
    late = RunFolder(run)
    shutil.copytree(finished, run)
    with pytest.raises(FileExistsError, match="holds a run already"):
        late.lock(Accelerator(cpu=True), {})


def test_a_folder_that_cannot_be_made_is_told_before_the_training(loaders, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="file/run cannot be written to .*: choose another folder"):
        train(loaders, tmp_path / "file" / "run")


def test_a_folder_that_could_not_be_resumed_for_its_name_is_refused(loaders, tmp_path):
    with pytest.raises(CheckpointError, match="is no UTF-8"):
        train(loaders, tmp_path / os.fsdecode(b"Gro\xdfmutter"))
    assert list(tmp_path.iterdir()) == []


def own_batches(loaders):
    """The same photos, in batches that know no epochs."""
    dataset = loaders.train.dataset
    loader = DataLoader(dataset, batch_size=4, sampler=RandomSampler(dataset))
    return type(loaders)(LabLoader(loader, "cpu"))


def test_a_sampler_that_cannot_resume_is_refused(loaders, tmp_path):
    with pytest.raises(
        ValueError, match="RandomSampler cannot start in the middle of an epoch: take make_data"
    ):
        train(own_batches(loaders), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_any_sampler_does_where_nothing_is_kept(loaders):
    assert len(train(own_batches(loaders), None)) == 2


def test_a_network_that_cannot_be_saved_is_refused_before_the_training(loaders, tmp_path):
    with pytest.raises(TypeError, match="Conv2d has no `config`"):
        fit(L1Pretraining(torch.nn.Conv2d(1, 2, 1)), loaders, 1, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_whole_run_of_another_method_is_not_taken_for_damaged(run, loaders):
    with pytest.raises(
        RunError, match="another method .L1Pretraining, not AdversarialTraining.: take that, or"
    ):
        train_adversarial(small(), loaders, None, 3, out=run, resume=True, progress=False)


def test_the_history_is_read_as_it_was_returned(run, loaders):
    assert train(loaders, run, resume=True) == read_history(run)


@pytest.mark.parametrize(
    ("limits", "progress", "used"),
    [
        ({"epochs": 2}, {"step": 5, "seconds": 999}, 0.5),
        ({"minutes": 2}, {"step": 999, "seconds": 30}, 0.25),
        ({"epochs": 2, "minutes": 2}, {"step": 5, "seconds": 90}, 0.75),
        ({"epochs": 0.01}, {"step": 1}, 1),
        ({}, {"step": 50}, 0.5),
    ],
)
def test_a_budget_is_used_up_by_whichever_limit_is_nearer(limits, progress, used):
    """Arithmetic alone.  Epochs of 5 batches; without any limit, 20 of them."""
    assert Budget(**limits).used(RunState(**progress), batches=5) == used


@pytest.mark.parametrize("limit", [0, -1, math.nan])
@pytest.mark.parametrize("name", ["epochs", "minutes"])
def test_a_budget_for_nothing_is_refused(name, limit):
    with pytest.raises(ValueError, match="nothing to train"):
        Budget(**{name: limit})


# No pickle is read, from whomever a run's folder comes.

PICKLES = ("custom_checkpoint_0.pkl", "random_states_0.pkl", "optimizer.bin")  # of versions before 0.2


class Code:
    """A pickle that writes a file when it is read."""

    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", [*PICKLES, "state.safetensors", "random_0.safetensors"])
@pytest.mark.filterwarnings("ignore:.*is damaged")
def test_a_doctored_folder_runs_no_code(run, loaders, tmp_path, name):
    """With the checksums renewed."""
    for state in (run / "state").iterdir():
        (state / name).write_bytes(pickle.dumps(Code(tmp_path / "ran")))
        (state / "checksums.json").unlink()
        seal(state)
    with contextlib.suppress(RunError):
        train(loaders, run, 3, resume=True)
    assert not (tmp_path / "ran").exists()


def test_a_run_of_an_older_version_is_refused_in_a_sentence(run, loaders):
    (run / RUN_FILE).unlink()
    with pytest.raises(RunError, match="a version before 0.2 made it.* start a new run from its weights"):
        train(loaders, run, 3, resume=True)


def test_a_state_comes_back_as_it_was(tmp_path):
    weights = torch.rand(3, 2).T
    tree = {"state": {0: {"exp_avg": weights, "step": torch.tensor(3.0)}}, "betas": (0.9, 0.999), "none": [None, True],
            "same": weights, "numbers": [0.1, 2**70], "empty": {}}  # fmt: skip
    write_tree(tmp_path / "tree.safetensors", tree)
    again = read_tree(tmp_path / "tree.safetensors")
    assert torch.equal(again["state"][0].pop("exp_avg"), tree["state"][0].pop("exp_avg"))
    assert torch.equal(again.pop("same"), tree.pop("same"))
    assert again == tree


def test_a_whole_state_of_another_run_is_refused_in_a_sentence(run, loaders):
    for state in (run / "state").iterdir():
        write_tree(state / "state.safetensors", {"run": {}, "networks": {}})
        (state / "checksums.json").unlink()
        seal(state)
    with pytest.raises(RunError, match="is not one of this run"):
        train(loaders, run, 3, resume=True)


# What a run is resumed with.

MORE = sample_photos("train")[12:24]
OTHERS = {
    "photos": (
        {"photos": MORE},
        {},
        "the photos are others than when the run .* began .12 then, 12 now.: take those",
    ),
    "more photos": ({"photos": [*sample_photos("train")[:12], *MORE]}, {}, "12 then, 24 now"),
    "size": ({"size": 64}, {}, "another size .32, not 64.: take that, or start a new run"),
    "batch size": ({"batch_size": 6}, {}, "another batch size .4, not 6."),
    "crops": ({"scale": (0.9, 1.0)}, {}, "another scale"),
    "validation": ({"valid": MORE}, {}, "the validation photos are others .* .none then, 12 now."),
    "learning rate": ({}, {"lr": 1e-5}, "another lr of the generator .0.0001, not 1e-05."),
    "decay": ({}, {"weight_decay": 0.1}, "another weight_decay of the generator"),
    "schedule": ({}, {"schedule": "one_cycle"}, "another schedule .constant, not one_cycle."),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_run_is_not_resumed_with_what_it_was_not_started_with(run, loaders, other):
    data, options, sentence = OTHERS[other]
    if data:
        data = {"photos": sample_photos("train")[:12], "size": 32, "batch_size": 4} | data
        loaders = make_dataloaders(data.pop("photos"), device="cpu", **data)
    with pytest.raises(RunError, match=sentence):
        train(loaders, run, 3, resume=True, **options)


def test_options_of_the_adversarial_stage_are_compared_too(loaders, tmp_path):
    def gan(**options) -> None:
        judge = PatchDiscriminator(filters=4, downs=2)
        train_adversarial(small(), loaders, judge, 0.3, out=tmp_path / "run", progress=False, **options)

    gan(lambda_l1=10.0)
    with pytest.raises(RunError, match="another weight of L1 .10.0, not 20.0."):
        gan(lambda_l1=20.0, resume=True)


def test_a_schedule_that_ends_with_the_budget_is_resumed_with_the_same_one(loaders, tmp_path):
    train(loaders, tmp_path / "run", 2, schedule="linear_decay")
    with pytest.raises(RunError, match="another number of epochs .2, not 4."):
        train(loaders, tmp_path / "run", 4, schedule="linear_decay", resume=True)


def test_a_run_is_resumed_where_its_photos_have_moved(run, tmp_path):
    moved = [Path(shutil.copy(photo, tmp_path)) for photo in sample_photos("train")[:12]]
    loaders = make_dataloaders(moved, size=32, batch_size=4, device="cpu")
    assert len(train(loaders, run, 3, resume=True)) == 3


@pytest.mark.parametrize("out", ["run", "deep/run", "."])
def test_a_run_among_its_photos_does_not_learn_from_its_own_pictures(tmp_path, out):
    for photo in sample_photos("train")[:6]:
        shutil.copy(photo, tmp_path)
    photos = find_photos(tmp_path)
    train(make_dataloaders(photos[:4], photos[4:], 32, 4, device="cpu"), tmp_path / out, 1)
    assert find_photos(tmp_path) == photos


# What is the caller's.


@pytest.fixture()
def no_accelerator():
    """A process in which none was made: the first one decides on what later ones may be."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_the_callers_accelerator_stays_as_it_was(loaders, no_accelerator):
    accelerator = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=4)
    train(loaders, None, 0.3, mixed_precision="no")
    assert accelerator.mixed_precision == "bf16"
    assert accelerator.gradient_accumulation_steps == 4


def draws() -> tuple[float, float, float]:
    return random.random(), np.random.rand(), torch.rand(1).item()


@pytest.mark.parametrize("method", [pretrain, train_adversarial])
def test_the_callers_random_numbers_go_on_where_they_were(loaders, method):
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = draws()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    generator = build_generator("unet", downs=5, filters=4)
    torch.manual_seed(5)
    method(generator, loaders, epochs=0.3, progress=False)
    assert draws() == expected


# Wrapped networks.


def compiled(network: torch.nn.Module) -> torch.nn.Module:
    return torch.compile(network, backend="eager")


def test_a_compiled_generators_run_is_the_plain_ones(loaders, tmp_path):
    """Also where it was resumed with the other."""
    train(loaders, tmp_path / "plain", 2)
    pretrain(compiled(small()), loaders, 1, out=tmp_path / "run", progress=False)
    train(loaders, tmp_path / "run", 2, resume=True)
    plain, run = (read_header(tmp_path / out / "generator.safetensors") for out in ("plain", "run"))
    assert plain["sha256"] == run["sha256"]


@pytest.mark.parametrize("wrap", [compiled, torch.nn.DataParallel], ids=["compile", "DataParallel"])
def test_a_wrapped_generator_comes_back_from_mixed_precision_as_it_was(loaders, wrap):
    generator = small()
    wrapped = wrap(generator)
    pretrain(wrapped, loaders, 0.3, mixed_precision="bf16", progress=False)
    assert computes_in(generator) == torch.float32
    assert wrapped(torch.rand(1, 1, 32, 32)).dtype == torch.float32


def test_photos_too_small_for_the_discriminator_are_told_in_a_sentence(tmp_path):
    loaders = make_dataloaders(sample_photos("train")[:4], size=16, batch_size=4, device="cpu")
    with pytest.raises(ValueError, match="a size of 16 is too small .* take --size 24 or more"):
        train_adversarial(small(), loaders, None, 1, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("downs", [1, 2, 3, 4])
def test_the_smallest_photo_of_a_discriminator_gives_one_logit(downs):
    judge = PatchDiscriminator(filters=2, downs=downs)
    assert judge(torch.rand(2, 3, judge.smallest, judge.smallest)).shape == (2, 1, 1, 1)
    with pytest.raises(RuntimeError):
        judge(torch.rand(2, 3, judge.smallest - 1, judge.smallest - 1))
