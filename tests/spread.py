"""How far the lessons' asserts are from failing, over seeds: python tests/spread.py [08 …] writes tests/spread.md.

The lessons that train run in the profile `quick` with several seeds: of the
weights, of the crops and their order.  Of every comparison in an assert whose
sides change with the seed, the lowest and the highest values are noted down.  A
test in test_lessons.py fails when a lesson has a comparison that is not in
spread.md as it stands: measure again after a change.  (Exercise solutions are
not covered.)
"""

import argparse
import ast
import json
import operator
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted(
    path for path in (ROOT / "lessons").glob("*.ipynb") if path.name[:2] in "03 04 05 06 07 08 09 10"
)
TABLE = Path(__file__).with_name("spread.md")
PART = re.compile(r"^## .*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)  # of the table: a lesson's
OPERATORS = {
    "Lt": operator.lt, "LtE": operator.le, "Gt": operator.gt, "GtE": operator.ge, "Eq": operator.eq,
    "NotEq": operator.ne, "In": lambda a, b: a in b, "NotIn": lambda a, b: a not in b,
}  # fmt: skip


def code_cells(lesson: Path) -> list[str]:
    notebook = json.loads(lesson.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def conjuncts(node: ast.expr) -> list[ast.expr]:
    """What an assert asks for: the parts that are joined by `and`."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return [part for value in node.values for part in conjuncts(value)]
    return [node]


def comparisons(node: ast.expr) -> list[ast.Compare]:
    return [part for part in conjuncts(node) if isinstance(part, ast.Compare)]


class Watch(ast.NodeTransformer):
    """assert a < b and c → __watched__("a < b", ["Lt"], [a, b]); assert c"""

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        statements = []
        for part in conjuncts(node.test):
            if isinstance(part, ast.Compare):
                sides = ast.List([part.left, *part.comparators], ast.Load())
                signs = ast.List([ast.Constant(type(sign).__name__) for sign in part.ops], ast.Load())
                told = [ast.Constant(ast.unparse(part)), signs, sides]
                statements.append(ast.Expr(ast.Call(ast.Name("__watched__", ast.Load()), told, [])))
            else:
                statements.append(ast.Assert(part))
        return statements


class Seeds(ast.NodeTransformer):
    """Hands a seed in wherever a lesson draws: torch.manual_seed(0) → (seed), fit(…) → fit(…, seed=seed)."""

    TAKE_A_SEED = ("Lesson", "make_dataloaders", "fit", "pretrain", "train_adversarial")

    def __init__(self, seed: int):
        self.seed = ast.Constant(seed)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        function = ast.unparse(node.func)
        if function == "torch.manual_seed":
            node.args = [self.seed]
        elif function in self.TAKE_A_SEED and not any(given.arg == "seed" for given in node.keywords):
            node.keywords.append(ast.keyword("seed", self.seed))
        return node


def number(value) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def run(lesson: Path, seed: int) -> list:
    """Run a lesson with a seed: [[comparison, does it hold, the values of its sides], …]."""
    import matplotlib

    matplotlib.use("Agg")
    os.chdir(lesson.parent)
    seen = []

    def watched(text: str, signs: list[str], sides: list) -> None:
        holds = all(OPERATORS[sign](a, b) for sign, a, b in zip(signs, sides, sides[1:], strict=False))
        seen.append([text, bool(holds), [number(side) for side in sides]])

    space = {"__name__": "__main__", "__watched__": watched}
    for source in code_cells(lesson):
        tree = Seeds(seed).visit(Watch().visit(ast.parse(source)))
        exec(compile(ast.fix_missing_locations(tree), lesson.name, "exec"), space)
    return seen


def table(runs: dict[str, list[list]]) -> str:
    lines = [
        "# How far the lessons' asserts are from failing",
        "",
        f"Written by [spread.py](spread.py): profile `quick`, seeds 0 to {len(next(iter(runs.values()))) - 1}.",
        "Sides: the lowest and the highest of each side of the comparison.",
        "",
    ]
    for lesson, seeds in runs.items():
        lines += [f"## {lesson}", "", "| assert | held | sides |", "| --- | --- | --- |"]
        fixed = []
        for rows in zip(*seeds, strict=True):
            text, held = rows[0][0], sum(holds for _, holds, _ in rows)
            sides = list(zip(*(values for _, _, values in rows), strict=True))
            numbers = all(None not in side for side in sides)
            if held == len(rows) and not (numbers and any(len(set(side)) > 1 for side in sides)):
                fixed += [f"`{text}`"] * (f"`{text}`" not in fixed)
                continue
            told = (
                f"{min(side):.3g}" + f" to {max(side):.3g}" * (len(set(side)) > 1)
                for side in sides
                if numbers
            )
            lines.append(f"| `{text}` | {held} of {len(rows)} | {'; '.join(told)} |")
        lines += ["", "The same with every seed: " + ", ".join(fixed), ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lessons", nargs="*", help="numbers of lessons, such as 08 (default: all that train)")
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--at-once", type=int, default=2, help="processes, of one thread each (default: 2)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "spread", help="a folder for the runs")
    parser.add_argument("--resume", action="store_true", help="keep the runs that are there")
    parser.add_argument("--one", nargs=2, metavar=("LESSON", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    out = options.out.resolve()
    if options.one:
        lesson, seed = Path(options.one[0]), int(options.one[1])
        told = json.dumps(run(lesson, seed))
        (out / f"{lesson.stem}_{seed}.json").write_text(told)
        return

    if not options.resume:
        shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    quiet = os.environ | {"COLORIZE_PROFILE": "quick", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}

    def run_one(wanted: tuple[Path, int]) -> list:
        lesson, seed = wanted
        kept = out / f"{lesson.stem}_{seed}.json"
        if not kept.exists():
            command = [sys.executable, __file__, "--out", str(out), "--one", str(lesson), str(seed)]
            if subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL).returncode:
                raise RuntimeError(f"{lesson.stem} failed with seed {seed}")
            print(f"{lesson.stem}, seed {seed}", flush=True)
        return json.loads(kept.read_text())

    chosen = [lesson for lesson in LESSONS if not options.lessons or lesson.name[:2] in options.lessons]
    with ThreadPoolExecutor(options.at_once) as pool:
        done = pool.map(run_one, [(lesson, seed) for lesson in chosen for seed in range(options.seeds)])
        runs = {lesson.stem: [next(done) for _ in range(options.seeds)] for lesson in chosen}
    written = table(runs)
    if options.lessons:  # the others keep their parts
        new = dict(zip(runs, PART.findall(written + "\n"), strict=True))
        old = TABLE.read_text(encoding="utf-8")
        written = PART.sub(lambda part: new.get(part[0].split("\n")[0][3:], part[0]), old).rstrip() + "\n"
    TABLE.write_text(written, encoding="utf-8")
    print(table(runs))


if __name__ == "__main__":
    main()
