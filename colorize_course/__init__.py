"""What the learner does in a lesson: guesses, writes a few lines, and answers a quiz.

    from colorize_course import Notes
    notes = Notes("01")            # what lesson 01 asks lies in lessons/solutions/answers/01.py

    notes.predict("half")          # a row of buttons, or a box for a number; the guess is kept in the browser

    def linear_from_srgb(rgb):     # a stub, in a cell of its own
        return ...
    linear_from_srgb = notes.check(linear_from_srgb)    # says what is missing; ours, until yours is right

    notes.quiz()                   # six to eight questions, marked on the spot
    notes.summary()                # how often the guesses were right, which functions are yours

A file of answers holds, for a lesson:

- `PREDICTIONS`: {key: `Choice` or `Number`}, its buttons come in an order of their own; `QUIZ`: a list of both.
- For every "Your turn", by the name of what the learner writes, `NAME`: our solution, `check_NAME(theirs)`,
  which calls `expect`, `expect_same` and `expect_not`, and `NAME__MISTAKE`: two or more typical mistakes.

The cells of a lesson carry tags.  tests/test_answers.py holds each lesson to this order:

- `predict`: a markdown cell with `**Predict.**`, then `notes.predict(key)`; after it the experiment's cell,
  tagged `predicted`, whose metadata has `"jupyter": {"outputs_hidden": true}`, so that JupyterLab opens the saved
  output when the cell is run, not before (of a text it shows the first line: begin with a figure or a heading); then markdown that begins with `<details><summary>`: what came out.
  The code of the experiment gives nothing away: its asserts come in a cell after that.
- `turn`: the stub, nothing else; then, tagged `check`, `NAME = notes.check(NAME)`; then a markdown cell with three
  `<details>`: two hints and the solution, in a Python block that is the solution of the file, word for word.
  An exercise, tagged `turn` and `exercise`, has a hint at least, and its solution in the notebook of solutions.
- `quiz` and `summary`: near the end.  Nothing of this needs a server, and the page reads well without a kernel.
"""

from .checks import FewBatches, NotYet, expect, expect_not, expect_same, expect_shape, expect_written, judge
from .notes import MY_PHOTO, Choice, Notes, Number, lesson_folder, load_answers, my_photo

__all__ = [
    "MY_PHOTO", "Choice", "FewBatches", "Notes", "NotYet", "Number", "expect", "expect_not", "expect_same", "expect_shape", "expect_written", "judge", "lesson_folder", "load_answers",
    "my_photo",
]  # fmt: skip
