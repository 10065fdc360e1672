# make demo   a trained, judged classifier on simulated fields; needs nothing but Python 3.11+ and make
# make test   all tests
# make lint   ruff and pyright
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint format clean

demo: .venv/installed
	$(BIN)/protloc demo --out demo

test: .venv/installed-test
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv demo

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/pip
	$(INSTALL) -e '.[lite]'
	touch $@

.venv/installed-test: .venv/installed
	$(INSTALL) -e '.[lite,test,lint]'
	touch $@
