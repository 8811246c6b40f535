"""The house itself: samples, imports, and who may import whom."""

import ast
import csv
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys

import pytest
import yaml

import colorize_lib
from colorize_course.league import recorded
from colorize_lib.photos import open_photo


def test_every_sample_has_its_row_and_its_checksum(root):
    samples = root / "data/samples"
    files = {p.relative_to(samples).as_posix() for p in samples.glob("*/*")}
    with (samples / "ATTRIBUTION.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows} == files
    assert len(files) == len(rows)
    for row in rows:
        assert all(row[column] for column in ("author", "licence", "source_package")), row["file"]
        assert row["split"] in (("historic",) if row["file"].startswith("historic") else ("train", "val"))
    sums = dict(line.split("  ")[::-1] for line in (samples / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() == files | {"ATTRIBUTION.csv"}
    for name, expected in sums.items():
        assert hashlib.sha256((samples / name).read_bytes()).hexdigest() == expected, name


def rooms(root) -> dict[str, list]:
    """{top-level module or package: its files}."""
    package, found = root / "colorize_lib", {}
    for path in package.rglob("*.py"):
        name = path.relative_to(package).with_suffix("").parts[0]
        if name not in ("__init__", "__main__"):
            found.setdefault(name, []).append(path)
    return found


def imported_rooms(root, path) -> set[str]:
    """The top-level modules of the package that a file imports from, other than its own."""
    inside = path.relative_to(root / "colorize_lib").parts[:-1]
    used = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level > len(inside):
            used |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return used - {"__version__"}


def test_the_list_of_modules_is_complete(root):
    assert set(colorize_lib._NAMES) == set(rooms(root))


def test_modules_import_only_from_modules_above_them(root):
    order = list(colorize_lib._NAMES)
    for name, paths in rooms(root).items():
        above = set(order[: order.index(name)])
        for path in paths:
            assert imported_rooms(root, path) <= above, path


@pytest.fixture
def docs(root, monkeypatch):
    """Imports a script of docs/."""
    monkeypatch.syspath_prepend(root / "docs")
    return importlib.import_module


@pytest.fixture
def house(docs):
    return docs("house")


def test_the_picture_of_the_house_is_true(house):
    """CONTRIBUTING shows it: who stands on whom.  If this fails: python docs/house.py, and look at the picture."""
    assert house.PICTURE.read_text(encoding="utf-8") == house.draw(house.imports())


def test_a_circle_of_imports_is_refused(house):
    with pytest.raises(ValueError, match="a circle of imports among one, two"):
        house.floors({"one": {"two"}, "two": {"one"}, "three": set()})


def test_every_public_name_exists():
    for name in colorize_lib.__all__:
        assert getattr(colorize_lib, name).__doc__, name
    with pytest.raises(AttributeError, match="nonsense"):
        colorize_lib.nonsense  # noqa: B018


def test_the_stub_names_what_the_package_names(root):
    """An editor sees the stub instead of the lazy `__init__.py`."""
    stub = ast.parse((root / "colorize_lib/__init__.pyi").read_text(encoding="utf-8"))
    named = {
        (alias.asname, node.module)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert named == {(name, module) for name, module in colorize_lib._MODULE_OF.items()}


def test_importing_loads_no_notebook_library():
    code = "import sys, colorize_lib as c; [getattr(c, n) for n in c.__all__]; print(*sys.modules)"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert "timm" in loaded
    assert not loaded & {"fastai", "matplotlib", "IPython", "jupyterlab", "ipywidgets"}


def test_importing_loads_nothing_before_it_is_used(root):
    """The import costs as much as its own few lines: not even torch is loaded."""
    code = "import sys; before = set(sys.modules); import colorize_lib; print(*set(sys.modules) - before)"
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in run.stdout.split()} <= {"colorize_lib", *sys.stdlib_module_names}


@pytest.mark.parametrize("module", ["cli", "colorizer", "photos", "weights"])
def test_what_colours_imports_no_torch(module):
    code = f"import sys, colorize_lib.{module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert f"colorize_lib.{module}" in loaded
    assert not loaded & {"torch", "torchvision", "timm"}


def test_files_name_no_machine(docs):
    words = re.compile("|".join(("/" + "home/", "/" + "work/", "/" + "root/")))
    for path in docs("address").project_files():
        if (
            path.suffix in {".py", ".md", ".toml", ".yml", ".txt", ".ipynb", ".csv"}
            or path.name == "Makefile"
        ):
            found = words.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path}: {found.group()}"


def test_the_readmes_python_runs(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(root / "data")
    blocks = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    space = {}
    exec(blocks[0], space)
    in_colour = open_photo(tmp_path / "in_colour.jpg").astype(int)
    assert (in_colour.max(axis=2) - in_colour.min(axis=2)).mean() > 5
    assert "minutes=2" in blocks[1]
    exec(blocks[1].replace("minutes=2", "minutes=0.02"), space)
    assert space["history"]
    assert space["in_colour"].shape == in_colour.shape


def test_the_readme_gives_the_lessons_minutes(docs):
    """If this fails: python docs/minutes.py"""
    minutes = docs("minutes")
    readme = minutes.README.read_text(encoding="utf-8")
    assert readme == minutes.with_minutes(readme)


def test_the_readme_lists_every_lesson(docs, root):
    minutes = docs("minutes")
    listed = [lesson for _, lesson, _, _ in minutes.ROW.findall(minutes.README.read_text(encoding="utf-8"))]
    assert listed == [
        path.relative_to(root).as_posix() for path in sorted((root / "lessons").glob("*.ipynb"))
    ]


def test_the_course_s_table_is_what_the_saved_lessons_print(docs):
    """If this fails: python docs/league.py"""
    assert recorded() == docs("league").saved_rows()


def test_the_repositorys_address_is_the_same_everywhere(docs):
    """If this fails: python docs/address.py URL"""
    address = docs("address")
    name = address.repository().removeprefix("https://github.com/")
    given = {found for path in address.files() for found in address.found(path.read_text(encoding="utf-8"))}
    assert {other for _, other in given} == {name}


def test_the_address_is_found_in_every_kind_of_place(docs):
    address = docs("address")
    given = {found for path in address.files() for found in address.found(path.read_text(encoding="utf-8"))}
    assert {place for place, _ in given} >= {"Repository", "repository-code", "git clone", "Colab", "site"}


def test_a_new_address_replaces_the_old_one(docs, root):
    address = docs("address")
    readme = (root / "README.md").read_text(encoding="utf-8")
    changed = address.replace(readme, "jane/photos")
    assert {other for _, other in address.found(changed)} == {"jane/photos"}
    assert address.replace(changed, address.repository().removeprefix("https://github.com/")) == readme


@pytest.mark.parametrize(
    ("link", "leads_to"),
    [
        ("[a](docs/front.py)", "[a](https://github.com/OWNER/NAME/blob/v1/docs/front.py)"),
        ("![a](docs/front.jpg)", "![a](https://github.com/OWNER/NAME/raw/v1/docs/front.jpg)"),
        ("[a](colorize_lib/weights)", "[a](https://github.com/OWNER/NAME/tree/v1/colorize_lib/weights)"),
        ("[a](data/README.md#more)", "[a](https://github.com/OWNER/NAME/blob/v1/data/README.md#more)"),
        ("[a](#start)", "[a](https://github.com/OWNER/NAME/blob/v1/README.md#start)"),
        ("[a](https://example.com)", "[a](https://example.com)"),
    ],
)
def test_the_packages_page_leads_to_the_repository(docs, monkeypatch, link, leads_to):
    address = docs("address")
    monkeypatch.setattr(address, "repository", lambda: "https://github.com/OWNER/NAME")
    assert address.absolute(link, "v1") == leads_to


def test_no_link_of_the_readme_is_relative_on_the_packages_page(docs, root):
    address = docs("address")
    page = address.absolute((root / "README.md").read_text(encoding="utf-8"), "v1")
    assert [link for _, link in address.LINK.findall(page)] == []
    assert re.findall(r'(?:src|href)="(?!https:)', page) == []


def test_the_version_is_the_same_everywhere(root):
    citation = re.search(
        r"^version: (\S+)$", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE
    )
    newest = re.search(r"^## (\S+)", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert citation[1] == colorize_lib.__version__
    assert newest[1] == colorize_lib.__version__


def test_the_date_of_the_release_is_the_same_everywhere(root):
    """Neither has one before the release."""
    cited = re.findall(
        r"^date-released: (\S+)$", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE
    )
    heading = next(
        line for line in (root / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line[:3] == "## "
    )
    assert cited == re.findall(r"\((20\d\d-\d\d-\d\d)\)$", heading)


@pytest.fixture
def first_cell(root) -> str:
    return (root / "docs/first_cell.py").read_text(encoding="utf-8")


def test_the_first_cell_does_nothing_where_the_package_is(first_cell, monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: calls.append(command))
    exec(first_cell, {})
    assert calls == []


@pytest.fixture
def run_without_the_package(first_cell, monkeypatch, tmp_path):
    """Runs the first cell in a folder where the package is missing, and returns its commands; they fail with `error`."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)

    def run(error: Exception | None = None) -> list[str]:
        calls = []

        def command(words, check):
            calls.append(" ".join(words[:4]).replace(sys.executable, "python"))
            if error:
                raise error
            if words[0] == "git":
                a_clone(tmp_path)

        monkeypatch.setattr(subprocess, "run", command)
        exec(first_cell, {})
        return calls

    return run


def a_clone(folder):
    (folder / "colorize/lessons").mkdir(parents=True)
    (folder / "colorize/pyproject.toml").touch()


CLONE, INSTALL = "git clone --quiet --depth=1", "python -m pip install"


def test_the_first_cell_fetches_and_installs_the_package(run_without_the_package, tmp_path):
    assert run_without_the_package() == [CLONE, INSTALL]
    assert os.getcwd() == os.path.realpath(tmp_path / "colorize/lessons")


def test_the_first_cell_goes_on_where_it_was_stopped(run_without_the_package, tmp_path):
    a_clone(tmp_path)
    assert run_without_the_package() == [INSTALL]


@pytest.mark.parametrize("error", [subprocess.CalledProcessError(128, "git"), FileNotFoundError("git")])
def test_the_first_cell_says_what_helps_without_a_network(run_without_the_package, error):
    with pytest.raises(ConnectionError, match="Is there a network. In Kaggle: Settings, Internet on"):
        run_without_the_package(error)


def test_the_installing_cell_is_out_of_sight(root):
    """In Jupyter, in Colab, and on the site."""
    for path in sorted((root / "lessons").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        (metadata,) = [
            cell["metadata"] for cell in cells if 'find_spec("colorize_lib")' in "".join(cell["source"])
        ]
        assert metadata["jupyter"] == {"source_hidden": True}, path
        assert metadata["cellView"] == "form", path
        assert "remove-cell" in metadata["tags"], path


def test_lessons_that_install_the_package_do_it_with_the_first_cell(first_cell, root):
    for path in (root / "lessons").rglob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        installing = [
            text for cell in cells if 'find_spec("colorize_lib")' in (text := "".join(cell["source"]))
        ]
        assert [text.strip() for text in installing] in ([], [first_cell.strip()]), path


@pytest.mark.parametrize("kind", ["*.yml", ".*.yaml", "*.cff", ".github/**/*.yml"])
def test_settings_can_be_read(root, kind):
    for path in root.glob(kind):
        assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict), path
