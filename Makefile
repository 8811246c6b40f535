# make lab       open the course in JupyterLab
# make test      run all tests
# make quick     run the tests without the lessons, training and browsers
# make check     check the code: ruff, its formatter, pyright
# make lessons   run every lesson and write the course as HTML to build/lessons/
# make site      write the website to build/site/: the course as it was saved, the library, the weights
# make bench     measure the library beside the tutorial's recipe; BENCH_OPTIONS=--quick: in five minutes
# make web       put the page together in build/web (needs npm): colour in the browser, for any web server
# make package   build the wheel and the source distribution in dist/, and try both in an empty environment
# make weights   train the bundled weights again, from photos of your own: PHOTOS=FOLDER with train/ and val/; hours
# make .venv     only install
#
# Each installs into .venv first, if that has not been done.
# Without an NVIDIA GPU, PyTorch's CPU builds are taken, from its own index: much smaller.
# If that cannot be reached, they come from the ordinary one. TORCH=cpu and TORCH=cuda choose.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
TORCH ?= $(if $(shell command -v nvidia-smi),cuda,cpu)
# The cell that installs the package in Colab is no part of a page.
HIDE := --TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_cell_tags=remove-cell
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout=1500
PYTEST := OMP_NUM_THREADS=$(or $(OMP_NUM_THREADS),1) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
FIRST := $(firstword $(sort $(wildcard lessons/*.ipynb)))
# Jupyter does not start as root, as in a container, unless told that this is meant.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: lab test quick check lessons site bench web package weights .venv clean

lab: .venv
	$(BIN)/jupyter lab $(AS_ROOT) --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/$(FIRST) $(LAB_OPTIONS)

test: .venv
	@if command -v npm > /dev/null; then $(MAKE) web; else echo "no npm: the tests of the page alone are skipped"; fi
	$(PYTEST) $(NBVAL) tests lessons

quick: .venv
	$(PYTEST) --quick tests

check: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

lessons: .venv
	rm -rf build/lessons
	$(BIN)/jupyter nbconvert --execute --to html $(HIDE) --output-dir build/lessons $(wildcard lessons/*.ipynb)
	$(BIN)/jupyter nbconvert --execute --to html $(HIDE) --output-dir build/lessons/solutions $(wildcard lessons/solutions/*.ipynb)
	cp -r lessons/figures build/lessons/
	perl -pi -e 's/(href="[^":]*)\.ipynb/$$1.html/g' build/lessons/*.html build/lessons/solutions/*.html
	@echo "The course is in build/lessons"

site: .venv
	$(BIN)/python docs/site/build.py build/site
	@echo "The site is in build/site: open build/site/index.html"

bench: .venv
	$(BIN)/python benchmarks/bench.py $(BENCH_OPTIONS)

web: build/web/sw.js

build/web/sw.js: .venv/installed $(wildcard web/* colorize_lib/page/* colorize_lib/engines/* colorize_lib/weights/*) build/npm/node_modules
	$(BIN)/python web/build.py build/npm/node_modules build/web
	@echo "The page is in build/web: python3 -m http.server --directory build/web"

build/npm/node_modules: web/package.json
	mkdir -p build/npm && cp web/package.json build/npm/
	cd build/npm && npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

package:
	.ci/package

weights: .venv
	@test -n "$(PHOTOS)" || { echo "make weights PHOTOS=FOLDER: a folder with train/ and val/"; exit 2; }
	$(BIN)/python tools/make_weights.py "$(PHOTOS)" $(WEIGHTS_OPTIONS)

.venv: .venv/installed

.venv/installed: pyproject.toml colorize_course/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	@echo "Installing into .venv: a few minutes, once."
ifeq ($(TORCH),cpu)
	@{ $(INSTALL) uv && $(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend cpu \
		--constraint constraints.txt torch torchvision; } 2> /dev/null || \
		echo "PyTorch's own index cannot be used here: its ordinary build follows, on Linux with CUDA, 5 GB."
endif
	$(INSTALL) --editable ".[lessons,test,check,site,onnx,serve]" --editable colorize_course
	@touch $@

clean:
	rm -rf .venv build dist
