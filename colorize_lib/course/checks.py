"""Is the learner's function right, and if not, which sentence helps?"""

import random
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

GAP = "there is a gap left, `...`: it is yours to write."


class NotYet(Exception):
    """What is wrong with an answer, in one sentence for its author."""


class NotWritten(NotYet):
    """There is nothing to judge yet."""


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


def expect_written(theirs: Any) -> None:
    """Tell a stub, which returns `...`, from a mistake.  `expect_shape` and `expect_same` do so themselves."""
    if theirs is ...:
        raise NotWritten


def expect_shape(theirs: Any, shape: Sequence[int]) -> None:
    """Refuse what is no tensor (or number) of this shape, or holds nan or inf.

    Raises:
        NotYet: with a sentence that says what differs.
    """
    expect_written(theirs)
    expect(theirs is not None, "It returns nothing. Is the `return` missing?")
    expect(
        isinstance(theirs, (Tensor, int, float)),
        f"It returns a {type(theirs).__name__}, and a tensor was expected.",
    )
    theirs = torch.as_tensor(theirs)
    shapes = tuple(theirs.shape), tuple(shape)
    expect(shapes[0] == shapes[1], "Its result has the shape {}; {} was expected.".format(*shapes))
    expect(theirs.isfinite().all(), "Its result holds nan or inf.")


def judge(check: Callable[[Any], None], theirs: Any) -> str | None:
    """Run a check.  The random numbers of the lesson stay as they are.

    Args:
        check: raises `NotYet` when it is not satisfied.
        theirs: the function or class to judge.

    Returns:
        A sentence that says what is wrong; None when nothing is.
    """
    state = random.getstate()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            random.seed(0)
            check(theirs)
    except (NotWritten, NotImplementedError):
        return GAP
    except NotYet as found:
        return str(found)
    except Exception as error:
        if unwritten(error):
            return GAP
        return f"It stops with {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}{_where(error, theirs)}"
    finally:
        random.setstate(state)
    return None


def unwritten(error: Exception) -> bool:
    """Is this what the check met because a `...` still stands in the stub?"""
    return "ellipsis" in str(error).lower()


def _where(error: Exception, theirs: Any) -> str:
    """The last line of the learner's own that was run, to be added to the sentence."""
    code = getattr(theirs, "__code__", None) or getattr(getattr(theirs, "__init__", None), "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code and frame.filename == code.co_filename and frame.line]
    return f"  (line {own[-1].lineno}: {own[-1].line})" if own else ""
