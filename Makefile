# make demo    sets everything up, then runs the whole pipeline on the embedded digits
# make test    sets everything up, then runs all tests
# make setup   only sets everything up; takes less than a second if that is done
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-image test-torch test-hub browser image bench soak lint audit format lock schemas clean

bin := .venv/bin
demo_root := runs/digits
# What editors and mypy find `restem` by: they do not see the import hook of setuptools' editable install.
types := build/types/restem
locks := requirements.lock $(wildcard pipeline/environment/*.lock pipeline/environment/image/*.lock)
# One process per core, at most four: each loads TensorFlow and TFX, 3 GB. Tests of one file share a process and fixtures.
pytest := $(bin)/python -m pytest tests --ignore=tests/torch --ignore=tests/hub --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

help:  ## shows this help
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | awk -F ':.*  ## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup:  ## creates .venv and installs the packages in requirements.lock
	@bash pipeline/environment/setup.sh
	@mkdir -p $(types) && find -L $(types) -maxdepth 1 -type l -exec rm {} +
	@ln -sfn $(addprefix ../../../,$(filter-out %/__pycache__,$(wildcard components/*)) pipeline schemas) $(types)

demo: setup  ## trains, compares and pushes a model on the embedded digits (minutes), and prints the report's path
	@$(bin)/restem run --config pipeline/configs/digits.yaml --root $(demo_root)

test: setup lint  ## all tests except those of the container image (minutes)
	@$(pytest) -m "not image"

test-fast: setup  ## the tests that do not run a whole pipeline
	@$(pytest) -m "not e2e and not image"

test-torch: setup  ## compares with PyTorch, torchvision, timm and transformers, in an environment of their own (some gigabytes)
	@test -x build/torch/bin/python || python3 -m venv build/torch
	@build/torch/bin/python -m pip install --quiet torch torchvision timm transformers safetensors $$($(bin)/python -m pip freeze | grep -E '^(keras|h5py|numpy|pytest|pytest-timeout)==')
	@KERAS_BACKEND=torch build/torch/bin/python -m pytest tests/torch --confcutdir=tests/torch -q

test-hub: setup  ## compares with KerasHub, in an environment of its own (some gigabytes)
	@test -x build/hub/bin/python || python3 -m venv build/hub
	@build/hub/bin/python -m pip install --quiet keras-hub $$($(bin)/python -m pip freeze | grep -E '^(keras|tensorflow|h5py|numpy|pytest|pytest-timeout)==')
	@build/hub/bin/python -m pytest tests/hub --confcutdir=tests/hub -q

browser:  ## installs Chromium for the tests of the report page, on Debian or Ubuntu as root; does nothing if there is one
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium; }

image:  ## builds the image for Kubeflow with docker or podman; IMAGE=name:tag, ACCELERATOR=gpu, BASE_IMAGE=...
	@bash pipeline/environment/image/build.sh

test-image: setup  ## builds the image and tests it; installs podman on Debian if there is no engine (many minutes)
	@bash pipeline/environment/image/test.sh

bench: setup  ## runs the benchmarks; writes tests/benchmarks/results.json
	@$(bin)/python -m tests.benchmarks

soak: setup  ## runs a year of nights with kills (hours; goes on if it was interrupted); NIGHTS=20 runs fewer; writes tests/benchmarks/soak.json
	@$(bin)/python -m tests.soak --nights $(or $(NIGHTS),365) $(if $(SEED),--seed $(SEED)) --folder build/soak $(if $(NIGHTS),--out build/soak.json)

lint: setup  ## checks style and common errors with ruff, and types with mypy
	@$(bin)/ruff check --quiet .
	@$(bin)/ruff format --check --quiet .
	@bash -o pipefail -c "$(bin)/mypy | sed 's,^$(types)/pipeline/,pipeline/,; s,^$(types)/schemas/,schemas/,; s,^$(types)/,components/,'"

# In an environment of its own: its requirements are not the project's. --strict, because a package that the database
# cannot be asked about would otherwise count as one without vulnerabilities.
audit:  ## asks PyPI's database for known vulnerabilities of the pinned packages; needs the network
	@test -x build/audit/bin/pip-audit || { python3 -m venv build/audit && build/audit/bin/python -m pip install --quiet 'pip-audit>=2.9,<3'; }
	@build/audit/bin/pip-audit --strict --disable-pip --progress-spinner off $(addprefix --requirement ,$(locks)) \
	  $(shell sed -n 's/^\([A-Za-z0-9-][A-Za-z0-9-]*\)  *#.*/--ignore-vuln \1/p' pipeline/environment/audit-exceptions.txt)

format: setup  ## formats the source
	@$(bin)/ruff check --fix .
	@$(bin)/ruff format .

schemas: setup  ## writes schemas/config.schema.json from the configuration's classes
	@$(bin)/python -m pipeline.config > schemas/config.schema.json

lock: setup  ## pins the requirements of setup.py, with hashes, for Linux and macOS
	@$(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --custom-compile-command "make lock" setup.py -o requirements.lock
	@$(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" pipeline/environment/setup-tools.in -o pipeline/environment/setup-tools.lock
	@bash pipeline/environment/image/lock.sh

clean:  ## removes .venv, runs/ and caches
	@rm -rf .venv build runs .pytest_cache .ruff_cache .mypy_cache .hypothesis
