"""`colorize doctor` on a machine where all is well, and on machines where one thing is wrong."""

import importlib.metadata
import shutil
import sys
import webbrowser
from collections import namedtuple
from types import SimpleNamespace

import psutil
import pytest
import torch

from colorize_lib import weights
from colorize_lib.cli import doctor, main


def test_every_check_says_ok_where_all_is_well(monkeypatch):
    monkeypatch.setattr(webbrowser, "get", lambda: object())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8e9))
    assert [str(finding) for finding in doctor.examine() if not finding.ok] == []


def test_there_is_a_finding_for_every_check():
    assert len(list(doctor.examine())) == len(doctor.CHECKS) == 9


def old_python(patch):
    patch.setattr(sys, "version_info", (3, 10, 4, "final", 0))


def no_torch(patch):
    patch.setitem(sys.modules, "torch", None)


def old_torch(patch):
    patch.setattr(torch, "__version__", "2.6.1+cpu")


def unused_gpu(patch):
    patch.setattr(torch.cuda, "is_available", lambda: False)
    patch.setattr(torch.backends.mps, "is_available", lambda: False)
    patch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


def little_memory(patch):
    patch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=0.4e9))


def full_disk(patch):
    patch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "free")(0.2e9))


def no_encoder(patch):
    patch.setattr(doctor, "find_spec", lambda name: None)


def no_weights(patch):
    patch.setattr(weights, "WEIGHTS", weights.WEIGHTS / "nowhere")


def no_jupyter(patch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    patch.setattr(doctor, "version", missing)


def no_browser(patch):
    def none():
        raise webbrowser.Error("could not locate runnable browser")

    patch.setattr(webbrowser, "get", none)


@pytest.mark.parametrize(
    ("break_it", "check", "says", "helps"),
    [
        (old_python, doctor.python, "Python", "Install Python 3.11 or newer"),
        (no_torch, doctor.torch, "cannot be loaded", "pip install --upgrade torch torchvision"),
        (old_torch, doctor.torch, "PyTorch 2.6.1+cpu", "2.7 or newer"),
        (unused_gpu, doctor.device, "does not use it", "CUDA build"),
        (little_memory, doctor.memory, "0.4 GB free", "Close other programs"),
        (full_disk, doctor.disk, "0.2 GB free", "Make room"),
        (no_encoder, doctor.encoder_weights, "lite0", "colorize_lib[train]"),
        (no_weights, doctor.bundled_weights, "no weights called 'adversarial'", "git checkout"),
        (no_jupyter, doctor.jupyter, "jupyterlab is not installed", "[lessons]"),
        (no_browser, doctor.browser, "none found", "make lab"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_wrong_is_named_with_its_remedy(monkeypatch, break_it, check, says, helps):
    with monkeypatch.context() as patch:
        break_it(patch)
        finding = check()
    assert says in finding.what
    assert helps in finding.remedy


def test_a_check_that_fails_itself_is_a_finding(monkeypatch):
    def broken():
        raise OSError("a library is damaged")

    monkeypatch.setattr(doctor, "CHECKS", (broken,))
    (finding,) = doctor.examine()
    assert finding.what == "broken: OSError: a library is damaged"


def test_a_check_that_lacks_a_package_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(doctor, "CHECKS", (doctor.memory,))
    (finding,) = doctor.examine()
    assert finding.remedy == "pip install psutil"


def test_the_command_prints_the_findings_and_their_number(monkeypatch, capsys):
    findings = iter([doctor.Finding("one"), doctor.Finding("two", "mend it")])
    monkeypatch.setattr(doctor, "CHECKS", (lambda: next(findings),) * 2)
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out == "[OK] one\n[!!] two\n     → mend it\n1 of 2 need attention.\n"


def test_the_command_succeeds_where_all_is_well(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", (lambda: doctor.Finding("one"),))
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "[OK] one\nAll is well.\n"
