# make demo    deploy a sample in the sandbox, up to the model's results: needs only Python
# make fast    the tests that start no process and open no connection, in less than a minute
# make check   format, types, layers, workflows, all tests: what CI runs
# make site    the documentation as a site, in build/site
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
# `off` where another job checks coverage, or where it cannot reach the gate: a system or Python that lacks an optional dependency.
COVERAGE ?= on
# Three per core: many tests wait for a process or for a clock.
PROCESSES ?= $(shell echo $$((3 * $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2))))
GATE := --cov --cov-report=term
# Always allow .pyc files: without them, each process that a test starts would compile the SDKs again, and each pytest
# worker all tests.
export PYTHONDONTWRITEBYTECODE :=
# --no-compile: most modules are never imported, and compiling all of them takes longer than the rest of the installation.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile

.PHONY: demo in-sandbox fast check format lint types layers workflows test rest resolve lowest clients mermaid docs site bench clean

demo: $(VENV)/demo-installed
	@$(BIN)/manifestgen sandbox run --state .sandbox -- $(MAKE) --silent in-sandbox

in-sandbox:
	@$(BIN)/manifestgen deploy samples/anomaly-detection --yes
	@$(BIN)/manifestgen sandbox messages --summary --count 100

# The tests and mypy side by side: mypy takes a minute of one core where it has no cache.
check:
	@$(MAKE) --no-print-directory --jobs=2 lint types layers workflows test

$(VENV)/pyvenv.cfg:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

# Two stamps, so that a demo does not have to install the development tools.
$(VENV)/demo-installed: pyproject.toml | $(VENV)/pyvenv.cfg
	$(INSTALL) --editable '.[all]'
	@touch $@

$(VENV)/check-installed: pyproject.toml | $(VENV)/pyvenv.cfg
	$(INSTALL) --editable '.[all]' --group dev
	@touch $@ $(VENV)/demo-installed

lint: $(VENV)/check-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/check-installed
	$(BIN)/mypy

layers: $(VENV)/check-installed
	$(BIN)/lint-imports

# Checks that actions are pinned, permissions are minimal, and expressions are valid.
workflows: $(VENV)/check-installed
	$(BIN)/actionlint
	$(BIN)/zizmor --offline --persona=pedantic --quiet .github action.yml

fast: $(VENV)/check-installed
	$(BIN)/python -m pytest --fast --numprocesses=2 -q -rfE

# In a new clone pytest compiles all tests: once then, not in each worker. What is wrong with one is said by the tests.
$(VENV)/tests-compiled: | $(VENV)/check-installed
	@$(BIN)/python -m pytest --collect-only -q >/dev/null || true
	@touch $@

# The gate is fail_under in pyproject.toml.
test: $(VENV)/check-installed | $(VENV)/tests-compiled
	$(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=loadgroup $(if $(filter on,$(COVERAGE)),$(GATE))

# Runs the integration tests with the REST client; `make test` already runs the contract, the client's own tests and a fault walk with both.
rest: $(VENV)/check-installed
	MANIFESTGEN_HUB_CLIENT=rest $(BIN)/python -m pytest --numprocesses=4 --dist=loadgroup tests/integration \
		--deselect tests/integration/test_other_clients.py

# Writes docs/sandbox-clients.md: what az, Node's SDK and others can do in the sandbox. Needs the package indexes and Node.
# az's IoT extension is on no index; it is tested if its wheel was installed with
#   build/clients/az-iot/bin/python -m pip install --target build/clients/az-iot/extensions/azure-iot WHEEL
clients: $(VENV)/check-installed
	for name in az az-iot python; do test -d build/clients/$$name || $(PYTHON) -m venv build/clients/$$name || exit 1; done
	build/clients/az/bin/python -m pip install --quiet azure-cli
	build/clients/az-iot/bin/python -m pip install --quiet 'azure-cli==2.65.0' 'setuptools<70'
	build/clients/python/bin/python -m pip install --quiet azure-identity azure-iot-hub six azure-containerregistry \
		azure-keyvault-secrets azure-mgmt-containerregistry azure-mgmt-iothub azure-mgmt-resource
	npm install --silent --no-audit --no-fund --prefix build/clients/node azure-iothub
	$(BIN)/python tests/clients/table.py

# Installs mermaid, with which tests/browser draws the output of `view --format mermaid`. Needs npm and its registry.
mermaid:
	npm install --silent --no-audit --no-fund --prefix build/mermaid mermaid@11

# Checks that the wheel can be installed on every platform and Python. Needs the package index.
resolve: $(VENV)/check-installed
	rm -rf build/resolve
	$(BIN)/python -m build --wheel --quiet --outdir build/resolve .
	$(BIN)/python tests/resolve.py build/resolve/*.whl

# Runs the tests with the lowest version of each dependency that pyproject.toml allows. Needs the package index.
lowest: $(VENV)/check-installed
	$(BIN)/python tests/lowest.py --numprocesses=4

format: $(VENV)/check-installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The generated references: the rules, the project file's schema, the command line.
docs: $(VENV)/check-installed
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/docs tests/rules/test_rules_page.py --update-golden

# Builds the documentation as a site in build/site; a broken link or anchor stops it. The generator has its own virtual
# environment: docs/decisions/site.md. `make site SERVE=on` also serves it at http://localhost:8000.
TOOLS := build/site-tools
$(TOOLS)/installed: pyproject.toml
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/$(notdir $(BIN))/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(TOOLS)/$(notdir $(BIN))/python -m pip install --quiet --no-compile --group site
	@touch $@

site: $(TOOLS)/installed
	$(PYTHON) .ci/site
	$(TOOLS)/$(notdir $(BIN))/zensical build --strict
	$(if $(filter on,$(SERVE)),$(PYTHON) -m http.server --bind 127.0.0.1 --directory build/site)

bench: $(VENV)/check-installed
	for script in tests/bench/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) .sandbox dist build .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
