# make demo    sets everything up, then runs the whole pipeline on the embedded digits
# make test    sets everything up, then runs every test
# make setup   the set-up alone; nothing to do takes under a second
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-image image bench lint format lock schemas clean

bin := .venv/bin
demo_root := runs/digits
# What editors and mypy find `restem` by: they do not see the import hook of setuptools' editable install.
types := build/types/restem
# A process a core, at most four: each loads TensorFlow and TFX, 3 GB. A file's tests share one, for their fixtures.
pytest := $(bin)/python -m pytest tests --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

help:  ## these words
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | awk -F ':.*  ## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup:  ## makes .venv and installs what requirements.lock names
	@bash pipeline/environment/setup.sh
	@mkdir -p $(types) && find -L $(types) -maxdepth 1 -type l -exec rm {} +
	@ln -sfn $(addprefix ../../../,$(filter-out %/__pycache__,$(wildcard components/*)) pipeline schemas) $(types)

demo: setup  ## trains, compares and pushes a model on the embedded digits (minutes), and prints the report's path
	@$(bin)/restem run --config pipeline/configs/digits.yaml --root $(demo_root)

test: setup lint  ## every test but those of the image (minutes)
	@$(pytest) -m "not image"

test-fast: setup  ## the tests that do not run a whole pipeline
	@$(pytest) -m "not e2e and not image"

image:  ## builds the image for Kubeflow with docker or podman; IMAGE=name:tag, ACCELERATOR=gpu, BASE_IMAGE=...
	@bash pipeline/environment/image/build.sh

test-image: setup  ## builds the image and tests it; installs podman on Debian where no engine is (many minutes)
	@bash pipeline/environment/image/test.sh

bench: setup  ## the benchmarks; writes tests/benchmarks/results.json
	@$(bin)/python -m tests.benchmarks

lint: setup  ## style, types and the errors a machine finds
	@$(bin)/ruff check --quiet .
	@$(bin)/ruff format --check --quiet .
	@bash -o pipefail -c "$(bin)/mypy | sed 's,^$(types)/pipeline/,pipeline/,; s,^$(types)/schemas/,schemas/,; s,^$(types)/,components/,'"

format: setup  ## puts the source into shape
	@$(bin)/ruff check --fix .
	@$(bin)/ruff format .

schemas: setup  ## writes schemas/config.schema.json from the configuration's classes
	@$(bin)/python -m pipeline.config > schemas/config.schema.json

lock: setup  ## pins what setup.py asks for, with hashes, for Linux and macOS
	@$(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras --custom-compile-command "make lock" setup.py -o requirements.lock
	@$(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" pipeline/environment/setup-tools.in -o pipeline/environment/setup-tools.lock
	@bash pipeline/environment/image/lock.sh

clean:  ## removes .venv and what runs made
	@rm -rf .venv build runs .pytest_cache .ruff_cache .mypy_cache .hypothesis
