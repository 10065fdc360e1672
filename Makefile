# make demo   a trained, judged classifier on simulated fields; needs nothing but Python 3.11+ and make
# make test   all tests
# make lint   ruff and pyright
# make bench  protloc beside its peers and the limits of this machine, into docs/performance.md: some 20 minutes
# make starter   the model that comes with protloc, from nothing: some 2¼ hours on two cores (FIELDS=24000 EPOCHS=12)
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

FIELDS ?= 24000
EPOCHS ?= 12

.PHONY: demo test lint bench starter format clean

demo: .venv/installed
	$(BIN)/protloc demo --out demo

test: .venv/installed-test
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: .venv/installed-bench
	cd benchmarks && ../$(BIN)/python -W ignore -m bench --out ../docs/performance.md

starter: .venv/installed
	$(BIN)/protloc simulate starter-work/atlas --fields $(FIELDS) --side 256 --seed 4 --balanced --clean
	test -d starter-work/store || $(BIN)/protloc prepare starter-work/atlas/train starter-work/store \
		--labels starter-work/atlas/train.csv --side 256
	$(BIN)/protloc audit starter-work/store --keys starter-work/atlas/fields.csv
	test -f starter-work/store/splits/default.parquet || $(BIN)/protloc split starter-work/store --fractions .9 .05 .05
	$(BIN)/protloc train starter-work/store --recipe starter --epochs $(EPOCHS) --out starter-work/run --resume
	$(BIN)/protloc simulate starter-work/judge --fields 2400 --side 320 --seed 5 --balanced --clean
	test -d starter-work/judge-store || $(BIN)/protloc prepare starter-work/judge/train starter-work/judge-store \
		--labels starter-work/judge/train.csv --side 320
	$(BIN)/protloc audit starter-work/judge-store --keys starter-work/judge/fields.csv
	test -f starter-work/judge-store/splits/default.parquet || \
		$(BIN)/protloc split starter-work/judge-store --fractions .02 .49 .49
	$(BIN)/python benchmarks/ship_starter.py starter-work/run --judge starter-work/judge-store

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv demo

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/pip
	$(INSTALL) -e '.[lite,serve]'
	touch $@

.venv/installed-bench: .venv/installed
	$(INSTALL) -e '.[lite,bench]'
	touch $@

.venv/installed-test: .venv/installed
	$(INSTALL) -e '.[lite,test,lint]'
	touch $@
