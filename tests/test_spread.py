"""spread.py hands its seed in, and leaves the library as it is."""

import ast

import pytest
import spread


@pytest.mark.parametrize(
    ("given", "seeded"),
    [
        ("torch.manual_seed(0)", "torch.manual_seed(7)"),
        ("lesson = Lesson('Lesson 03')", "lesson = Lesson('Lesson 03', seed=7)"),
        ("make_dataloaders(a, b, 64).valid", "make_dataloaders(a, b, 64, seed=7).valid"),
        ("curves['l1'] = pretrain(g, loaders, 3, **recipe)", "curves['l1'] = pretrain(g, loaders, 3, **recipe, seed=7)"),
        ("return_it(train_adversarial(g, loaders, d))", "return_it(train_adversarial(g, loaders, d, seed=7))"),
        ("fit(method, loaders, 8, seed=SEED)", "fit(method, loaders, 8, seed=SEED)"),
        ("torch.Generator().manual_seed(0)", "torch.Generator().manual_seed(0)"),
    ],
)  # fmt: skip
def test_a_seed_is_handed_in(given, seeded):
    tree = spread.Seeds(7).visit(ast.parse(given))
    assert ast.unparse(ast.fix_missing_locations(tree)) == seeded


@pytest.mark.parametrize("lesson", spread.LESSONS, ids=lambda path: path.stem)
def test_each_lesson_that_trains_takes_it(lesson):
    code = "\n".join(spread.code_cells(lesson))
    assert "torch.manual_seed(7)" in ast.unparse(spread.Seeds(7).visit(ast.parse(code)))
    assert "seed=7" in ast.unparse(spread.Seeds(7).visit(ast.parse(code)))
