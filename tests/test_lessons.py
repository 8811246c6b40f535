"""The lessons as files: run, whole, in order, with working links; and their code is the library's.

That they run is tested by nbval, in the same pytest run (see the Makefile).
"""

import ast
import json
import re
from pathlib import Path

import pytest
import spread
import torch
from accelerate import Accelerator
from fastai.vision.learner import create_body
from torchvision.models import resnet18

from colorize_course import load_answers
from colorize_course.notes import ANSWERS
from colorize_lib import color, losses, models, training

LESSONS = Path(__file__).resolve().parents[1] / "lessons"
NOTEBOOKS = sorted(LESSONS.rglob("*.ipynb"))
NOTEBOOKS = [path for path in NOTEBOOKS if ".ipynb_checkpoints" not in path.parts]


def cells(path: Path, kind: str) -> list[dict]:
    return [
        cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind
    ]


def text(cell: dict) -> str:
    return "".join(cell["source"])


def markdown(path: Path) -> str:
    return "\n\n".join(text(cell) for cell in cells(path, "markdown"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.relative_to(LESSONS).as_posix())
def notebook(request) -> Path:
    return request.param


def test_there_are_lessons_and_each_has_solutions():
    lessons = {path.name for path in LESSONS.glob("*.ipynb")}
    assert {int(name[:2]) for name in lessons} >= set(range(11))
    assert {path.name for path in (LESSONS / "solutions").glob("*.ipynb")} == lessons - {
        "00_start_here.ipynb"
    }


def test_saved_outputs_come_from_one_whole_run(notebook):
    code = [cell for cell in cells(notebook, "code") if text(cell).strip()]
    counts = [cell["execution_count"] for cell in code]
    assert counts == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert "minutes" in "".join(code[-1]["outputs"][0]["text"])  # it went on to its end
    first = code[0]["outputs"] + code[1]["outputs"]  # the cell that installs the package says nothing
    stamp = "".join(next(o for o in first if o.get("name") == "stdout")["text"])
    assert re.search(r"profile (quick|long|full), device \w+, torch [\d.+a-z]+, 20\d\d-\d\d-\d\d", stamp)


def test_no_cell_is_skipped(notebook):
    for cell in cells(notebook, "code"):
        tags = set(cell["metadata"].get("tags", []))
        assert not tags & {"nbval-skip", "nbval-ignore-output", "skip-execution", "raises-exception"}, text(
            cell
        )
        assert not re.search(r"^\s*#\s*(NBVAL|PYTEST_VALIDATE)", text(cell), re.MULTILINE), text(cell)
        assert not text(cell).startswith("%%script"), text(cell)


def test_files_do_not_depend_on_the_working_directory(notebook):
    """Editors choose another one than Jupyter; `lesson_folder` is the place for what a lesson writes."""
    trees = [
        ast.parse(re.sub("^[!%].*", "", text(cell), flags=re.MULTILINE)) for cell in cells(notebook, "code")
    ]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    fixed = [ast.unparse(call) for call in calls if ast.unparse(call.func) == "Path"]
    fixed = [call for call in fixed if re.match(r"Path\(['\"][^/]", call)]
    assert fixed == []


def test_it_checks_itself(notebook):
    checks = sum(text(cell).count("assert ") for cell in cells(notebook, "code"))
    assert checks >= 5


@pytest.mark.parametrize("lesson", spread.LESSONS, ids=lambda path: path.stem)
def test_asserts_held_with_every_seed(lesson):
    """spread.md has every comparison of the lesson, as it stands now, and each held whenever it was measured."""
    part = spread.TABLE.read_text(encoding="utf-8").split(f"## {lesson.stem}\n")[1].split("\n## ")[0]
    held = re.findall(r"^\| `(.+)` \| (\d+) of (\d+) \|", part, re.MULTILINE)
    assert held
    assert all(times == seeds and int(seeds) >= 3 for _, times, seeds in held)
    fixed = re.findall(r"`([^`]+)`", part.split("The same with every seed: ")[1])
    trees = [ast.parse(text(cell)) for cell in cells(lesson, "code")]
    asserts = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    now = {ast.unparse(found) for node in asserts for found in spread.comparisons(node.test)}
    assert now == {*fixed, *(name for name, _, _ in held)}


def test_size(notebook):
    assert notebook.stat().st_size < 1.5e6


def test_every_picture_has_words(notebook):
    """A picture in an output is described in the markdown right after it, which may be folded until it has been run.

    One in the text has an alternative text.  Guesses and the quiz are text themselves.
    """
    everything = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    for cell, after in zip(everything, [*everything[1:], None], strict=True):
        if {"predict", "quiz", "summary"} & set(cell["metadata"].get("tags", [])):
            continue
        kinds = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        if any(kind.startswith("image/") for kind in kinds) or "text/html" in kinds:
            assert after and after["cell_type"] == "markdown", text(cell)
            words = re.sub(r"^<details><summary>.+?</summary>\s+", "", text(after))
            assert re.match(r"\*[^*\s].{20,}", words, re.DOTALL), f"no description after:\n{text(cell)}"
    assert not re.findall(r"!\[\s*\]\(", markdown(notebook))


@pytest.mark.parametrize(
    "path",
    [
        *NOTEBOOKS,
        *(
            LESSONS.parent / name
            for name in (
                "README.md",
                "CONTRIBUTING.md",
                "CHANGELOG.md",
                "data/README.md",
                "docs/install.md",
                "docs/photos.md",
            )
        ),
    ],
    ids=lambda p: p.name,
)
def test_links_resolve(path):
    words = markdown(path) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", words) + re.findall(r'(?:src|href)="([^"]+)"', words)
    assert links
    for link in links:
        if not re.match(r"https?:|#", link):
            target, _, anchor = link.partition("#")
            found = path.parent / target
            assert found.exists(), link
            if anchor:
                headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in slugs, link


def test_a_lesson_has_its_parts():
    for path in LESSONS.glob("*.ipynb"):
        words = markdown(path)
        for part in ("You will be able to", "You need to know", "**Time**", "## Recap", "**Next:**"):
            assert part in words, f"{path.name}: {part}"
        if path.name == "00_start_here.ipynb":  # there is nothing to build in it yet
            continue
        assert "## Exercises" in words, path.name
        assert words.count("**Predict.**") >= 4
        assert words.count("<details>") >= 3
        exercises = re.findall(
            r"^\d\. \*\*", words.split("## Exercises")[1].split("## Recap")[0], re.MULTILINE
        )
        solutions = re.findall(r"^## \d\. ", markdown(LESSONS / "solutions" / path.name), re.MULTILINE)
        assert 3 <= len(exercises) <= 5
        assert len(solutions) == len(exercises)


def definitions(path: Path, *names: str) -> dict:
    """The functions, classes and constants of a notebook by name, defined as the notebook defines them.

    What the learner writes there is defined as the lesson's answers have it.
    """
    space = {}
    lesson = path.name[:2]
    turns = (
        vars(load_answers(lesson)) if path.parent == LESSONS and (ANSWERS / f"{lesson}.py").exists() else {}
    )
    space |= {name[6:]: turns[name[6:]] for name in turns if name.startswith("check_")}
    answered = set(space)
    for cell in cells(path, "code"):
        tree = ast.parse(text(cell))
        for node in ast.walk(tree):  # an import may stand in a `with`
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                exec(compile(ast.Module([node], []), path.name, "exec"), space)
        for node in tree.body:
            named = getattr(node, "name", None) or (
                isinstance(node, ast.Assign) and ast.unparse(node.targets[0])
            )
            if named in names and named not in answered:
                exec(compile(ast.Module([node], []), path.name, "exec"), space)
    assert set(names) <= space.keys()
    return space


def test_the_lab_of_lesson_01_is_the_librarys(photo):
    lesson = definitions(
        LESSONS / "01_lab_colour.ipynb",
        "RGB_TO_XYZ",
        "WHITE_D65",
        "linear_from_srgb",
        "cube_root",
        "rgb_to_lab",
    )
    rgb = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    assert (lesson["rgb_to_lab"](rgb) - color.rgb_to_lab(rgb)).abs().max() < 1e-3
    assert torch.allclose(lesson["RGB_TO_XYZ"].double(), color.RGB_TO_XYZ)
    assert torch.allclose(lesson["WHITE_D65"].double(), color.WHITE_D65)


def test_the_inverse_of_the_solutions_is_the_librarys(photo):
    solution = definitions(
        LESSONS / "solutions/01_lab_colour.ipynb", "RGB_TO_XYZ", "WHITE_D65", "my_lab_to_rgb"
    )
    lab = color.rgb_to_lab(torch.from_numpy(photo).permute(2, 0, 1)[None])
    assert (solution["my_lab_to_rgb"](lab) - color.lab_to_rgb(lab)).abs().max() < 1e-4


def assert_same_network(lesson: torch.nn.Module, library: torch.nn.Module, x: torch.Tensor) -> None:
    """The same tensors under the same names, and the same output from the same weights, in both modes."""
    ours = library.state_dict()
    assert {name: tensor.shape for name, tensor in lesson.state_dict().items()} == {
        name: tensor.shape for name, tensor in ours.items()
    }
    # Weights that matter everywhere: ChromaUnet's last layer starts at zero.
    lesson.load_state_dict(
        {k: v + 0.1 * torch.randn(v.shape) if k.startswith("head") else v for k, v in ours.items()}
    )
    library.load_state_dict(lesson.state_dict())
    for mode in (True, False):
        outputs = []
        for network in (lesson, library):
            torch.manual_seed(1)
            outputs.append(network.train(mode)(x))
        assert outputs[0].std() > 0
        assert torch.equal(*outputs)


def test_the_unet_of_lesson_03_is_the_librarys():
    lesson = definitions(LESSONS / "03_baseline_unet.ipynb", "UnetBlock", "Unet", "init_weights")
    options = {"downs": 6, "filters": 8}
    assert_same_network(lesson["Unet"](**options), models.Unet(**options), torch.randn(2, 1, 64, 64))
    networks = []
    for build in (lesson["Unet"], models.Unet):
        torch.manual_seed(0)
        networks.append(build(**options).state_dict())
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])  # the same init


def test_the_discriminator_of_lesson_04_is_the_librarys():
    lesson = definitions(LESSONS / "04_patchgan.ipynb", "PatchDiscriminator")
    options = {"filters": 8, "downs": 2}
    x = torch.randn(2, 3, 64, 64)
    assert_same_network(lesson["PatchDiscriminator"](**options), models.PatchDiscriminator(**options), x)


def test_the_loss_of_lesson_04_is_the_librarys():
    lesson = definitions(LESSONS / "04_patchgan.ipynb", "judge_loss")["judge_loss"]
    real, fake = torch.randn(2, 1, 6, 6), torch.randn(2, 1, 6, 6)
    assert torch.equal(lesson(real, fake), losses.GANLoss().discriminator(real, fake))


def test_the_adversarial_step_of_lesson_05_is_the_librarys():
    lesson = definitions(LESSONS / "05_pix2pix.ipynb", "AdversarialTraining")["AdversarialTraining"]
    batches = [{"L": torch.randn(2, 1, 64, 64), "ab": torch.rand(2, 2, 64, 64)} for _ in range(2)]
    after = []
    for method in (lesson, training.AdversarialTraining):
        torch.manual_seed(0)
        networks = models.Unet(downs=6, filters=4), models.PatchDiscriminator(filters=4, downs=2)
        step = method(*networks, lambda_l1=10.0, discriminator_lr=1e-3).step
        for batch in batches:
            step(batch) if method is lesson else step(batch, Accelerator(cpu=True))
        after.append([tensor for network in networks for tensor in network.state_dict().values()])
    assert len(after[0]) == len(after[1])
    assert all(map(torch.equal, *after))


def test_the_dynamic_unet_of_lesson_06_is_the_librarys():
    lesson = definitions(LESSONS / "06_l1_pretraining.ipynb", "DynamicUnetGenerator")["DynamicUnetGenerator"]
    body = create_body(resnet18(), n_in=1, pretrained=False, cut=-2)
    ours = models.DynamicUnetGenerator(pretrained=False, size=(64, 64))
    assert_same_network(lesson(body, (64, 64)), ours, torch.randn(2, 1, 64, 64))


def test_the_chroma_unet_of_lesson_06_is_the_librarys():
    lesson = definitions(LESSONS / "06_l1_pretraining.ipynb", "ChromaUnet")["ChromaUnet"]
    assert_same_network(lesson(), models.ChromaUnet(queries=0), torch.randn(2, 1, 64, 70))
