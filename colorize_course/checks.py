"""Is the learner's function right, and if not, which sentence helps?"""

import inspect
import random
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

NOTHING = "It returns nothing. Is the `return` missing?"
GAP = "there is a gap left, `...`: it is yours to write."
ENDLESS = "It does not come to an end. Is what stops its loop ever reached?"
LINES = 200_000  # of the learner's own, in one check: it asks small questions


class NotYet(Exception):
    """What is wrong with an answer, in one sentence for its author."""


class NotWritten(NotYet):
    """There is nothing to judge yet."""


class _Endless(BaseException):
    """Not an `Exception`, so that no `except` of the learner's catches it."""


def expect(condition: Any, sentence: str) -> None:
    """Refuse an answer.

    Args:
        condition: condition that has to hold.
        sentence: sentence that names the mistake, and where to look.

    Raises:
        NotYet: with the sentence.
    """
    if not condition:
        raise NotYet(sentence)


def expect_same(theirs: Any, right: Tensor | float, sentence: str, within: float = 1e-4) -> None:
    """Refuse a result that differs: in its kind, its shape, or its values.

    Args:
        theirs: result of the learner's function.
        right: right result.
        sentence: sentence for values that differ.
        within: the largest difference that is allowed.

    Raises:
        NotYet: with a sentence that says what differs.
    """
    right = torch.as_tensor(right)
    expect_shape(theirs, right.shape)
    # On the CPU, for MPS has no float64.
    values = (torch.as_tensor(value).detach().cpu().double() for value in (theirs, right))
    difference = torch.sub(*values).abs().max().item()
    expect(difference <= within, f"{sentence} (The largest difference is {difference:.3g}.)")


def expect_not(theirs: Any, mistake: Tensor | float, sentence: str, within: float = 1e-4) -> None:
    """Refuse what a known mistake gives, with a sentence of its own.

    Args:
        theirs: result of the learner's function.
        mistake: result of the mistake.
        sentence: sentence that names the mistake.
        within: the largest difference that still counts as the same.

    Raises:
        NotYet: with the sentence.
    """
    try:
        expect_same(theirs, mistake, "", within)
    except NotYet:
        return
    raise NotYet(sentence)


def expect_written(theirs: Any) -> None:
    """Tell a stub, which returns `...`, and a missing `return` from a mistake.

    `expect_shape` and `expect_same` do so themselves.
    """
    if theirs is ...:
        raise NotWritten
    expect(theirs is not None, NOTHING)


def expect_shape(theirs: Any, shape: Sequence[int]) -> None:
    """Refuse what is no tensor of this shape (no number, where the shape is empty), or holds nan or inf.

    Raises:
        NotYet: with a sentence that says what differs.
    """
    expect_written(theirs)
    kind = "a tensor" if shape else "a number"
    expect(not callable(theirs), "Its result is a function. Are the parentheses, `()`, missing?")
    arrays = () if shape else (np.ndarray,)  # a later cell may need a tensor, not an array
    expect(
        isinstance(theirs, (Tensor, int, float, np.generic, *arrays)),
        f"Its result is of the type {type(theirs).__name__}; {kind} was expected.",
    )
    theirs = torch.as_tensor(theirs)
    wanted = tuple(shape) or "a single number"
    expect(
        theirs.shape == tuple(shape),
        f"Its result has the shape {tuple(theirs.shape)}; {wanted} was expected.",
    )
    expect(theirs.isfinite().all(), "Its result holds nan or inf.")


class _Careful:
    """A learner's function that is given copies: what the check asks with stays as it is.

    Attributes:
        changed: the argument that it changed in place, or an empty text.
        inside: whether it is at work, or has stopped with an error.
        nothing: whether its last call returned None.
    """

    def __init__(self, function: Callable):
        self.function, self.changed, self.inside, self.nothing = function, "", False, False

    def __call__(self, *given: Any, **named: Any) -> Any:
        copies = [_copy(value) for value in given]
        self.inside = True
        result = self.function(*copies, **named)
        self.inside, self.nothing = False, result is None
        changed = [i for i, pair in enumerate(zip(copies, given, strict=True)) if not _is_same(*pair)]
        if changed:
            self.changed = list(inspect.signature(self.function).parameters)[changed[0]]
        return result


def _copy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()  # its history stays: a gradient gets back
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, (list, tuple)):
        return type(value)(_copy(part) for part in value)
    return {key: _copy(part) for key, part in value.items()} if isinstance(value, dict) else value


def _is_same(copy: Any, value: Any) -> bool:
    if isinstance(value, Tensor):
        return torch.equal(copy, value) and copy.requires_grad == value.requires_grad
    if isinstance(value, np.ndarray):
        return np.array_equal(copy, value)
    if isinstance(value, (list, tuple)):
        return len(copy) == len(value) and all(map(_is_same, copy, value))
    if isinstance(value, dict):
        return list(copy) == list(value) and all(map(_is_same, copy.values(), value.values()))
    return copy is value or bool(copy == value)


@contextmanager
def _at_most(lines: int, file: str | None) -> Iterator[None]:
    """Stop code of this file that runs more than so many lines.  A debugger is left alone."""
    left = lines

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != file:
            return None
        left -= event == "line"
        if left < 0:
            raise _Endless
        return trace

    if sys.gettrace() is None:
        sys.settrace(trace)
    try:
        yield
    finally:
        if sys.gettrace() is trace:
            sys.settrace(None)


def judge(check: Callable[[Any], None], theirs: Any) -> str | None:
    """Run a check.  The random numbers of the lesson stay as they are, and a function is given copies.

    Args:
        check: raises `NotYet` when it is not satisfied.
        theirs: the function or class to judge.

    Returns:
        A sentence that says what is wrong; None when nothing is.
    """
    careful = theirs if isinstance(theirs, type) else _Careful(theirs)
    state = random.getstate()
    try:
        with torch.random.fork_rng(), _at_most(LINES, _file(theirs)):
            torch.manual_seed(0)
            random.seed(0)
            wrong = _verdict(check, careful)
    finally:
        random.setstate(state)
    changed = getattr(careful, "changed", "")
    if not changed or wrong == GAP:
        return wrong
    note = (
        f"it changes `{changed}` in place, which the lesson needs again: work on a copy, or make a new one."
    )
    return f"First of all, {note} {wrong}" if wrong else f"The result is right, but {note}"


def _verdict(check: Callable[[Any], None], careful: Any) -> str | None:
    try:
        check(careful)
    except (NotWritten, NotImplementedError):
        return GAP
    except NotYet as found:
        return str(found)
    except _Endless:
        return ENDLESS
    except Exception as error:
        return _error(error, careful)
    return None


def _error(error: Exception, careful: Any) -> str:
    """A sentence for an error of the learner's code, or of ours that met what it returned."""
    told = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if unwritten(error):
        return GAP
    if isinstance(careful, type) or careful.inside:
        return f"It stops with {told}{_where(error, careful)}"
    if careful.nothing:
        return NOTHING
    return f"What it returns has another form than the lesson needs. ({told})"


def unwritten(error: Exception) -> bool:
    """Is this what the check met because a `...` still stands in the stub?"""
    return "ellipsis" in str(error).lower()


def _file(theirs: Any) -> str | None:
    """The file, or the cell, of a function, or of a class's own methods."""
    methods = [theirs, *(vars(theirs).values() if isinstance(theirs, type) else ())]
    return next((part.__code__.co_filename for part in methods if hasattr(part, "__code__")), None)


def _where(error: Exception, careful: Any) -> str:
    """The last line of the learner's own that was run, to be added to the sentence."""
    file = _file(getattr(careful, "function", careful))
    own = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file and frame.line
    ]
    return f"  (line {own[-1].lineno}: {own[-1].line})" if own else ""


class FewBatches:
    """Batches that stand in for a `LabLoader`, to call a learner's training loop with.

    What lies inside of it has a sampler, and no batches.
    """

    def __init__(self, batches: Iterable[dict[str, Tensor]]):
        self._batches = list(batches)
        self.loader = SimpleNamespace(sampler=SimpleNamespace(set_epoch=lambda epoch: None))

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return iter(self._batches)
