PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ALONE := tests/integration tests/chaos tests/test_bench.py
BY_HAND := tests/interop
AT_LENGTH := UALPIPE_REQUIRE_SERVERS=1 UALPIPE_CHAOS=long

unexport PYTHONDONTWRITEBYTECODE  # tests start hundreds of processes; each would compile every module again

.PHONY: help demo servers test interop unit chaos soak fuzz check format audit sbom bench lock clean

help:  ## lists the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(VENV)/.ready: requirements/dev.txt pyproject.toml .ci/venv
	@.ci/venv $(PYTHON) $(VENV)
	@touch $@

demo: $(VENV)/.ready  ## runs the main job on a simulated tenant and shows what arrived
	@$(BIN)/ualpipe demo

unit: $(VENV)/.ready  ## runs the tests that need no server, on all processors
	@$(BIN)/pytest -q --numprocesses auto --dist worksteal tests $(patsubst %,--ignore %,$(ALONE) $(BY_HAND))

fuzz: $(VENV)/.ready  ## looks for bytes that break a reader or the mapping, longer than the tests do (UALPIPE_FUZZ_EXAMPLES)
	@$(BIN)/pytest -q --numprocesses auto --dist worksteal -m fuzz --hypothesis-profile=fuzz tests/fuzz tests/unit

servers: $(VENV)/.ready  ## installs what the real servers of the tests need
	@PYTHONPATH=tests $(BIN)/python -m servers install

test: servers  ## installs the real servers, then runs all tests
	@$(MAKE) unit; unit=$$?; UALPIPE_REQUIRE_SERVERS=1 $(BIN)/pytest -q $(ALONE) && exit $$unit

interop: $(VENV)/.ready  ## further real servers; run by hand or in long CI
	@.ci/interop $(BIN)/python

chaos: servers  ## kills, breaks and fills everything at length, then soaks; prints the figures (CONTRIBUTING.md says how long)
	@$(AT_LENGTH) UALPIPE_CHAOS_KILLS=$${UALPIPE_CHAOS_KILLS:-2000} $(BIN)/pytest -q -rA -m chaos --ignore tests/chaos/test_soak.py tests
	@$(MAKE) soak

soak: servers  ## half an hour of a steady stream through all four sinks; prints how memory, open files and lag went
	@$(AT_LENGTH) UALPIPE_TEST_LONG_RUN=1 $(BIN)/pytest -q -rA tests/chaos/test_soak.py

check: $(VENV)/.ready  ## checks format, lint, types and structure; writes the bill of materials and audits it (where the lists are reached)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@PYTHONPATH=typings $(BIN)/lint-imports --no-logo
	@$(BIN)/python .ci/structure.py
	@$(BIN)/python .ci/sbom.py requirements/run.txt build/sbom.cdx.json
	@$(BIN)/python .ci/audit.py requirements/run.txt || [ $$? -eq 3 -a -z "$$UALPIPE_REQUIRE_AUDIT" ]

format: $(VENV)/.ready  ## formats the code and applies safe lint fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

audit: $(VENV)/.ready  ## looks the locked dependencies up in the public vulnerability lists; fails where it can't
	@$(BIN)/python .ci/audit.py requirements/run.txt

sbom: $(VENV)/.ready  ## writes the software bill of materials, CycloneDX JSON, to build/sbom.cdx.json
	@$(BIN)/python .ci/sbom.py requirements/run.txt build/sbom.cdx.json

bench: servers  ## measures speed, memory and size (PARTS="hot-path file" chooses)
	@$(BIN)/python -m bench $(PARTS)

lock:  ## renews the lock files (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --extra fast --extra geoip --extra reports --extra sql pyproject.toml requirements/dev.in -o requirements/dev.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --extra fast --extra geoip --extra reports --extra sql pyproject.toml -o requirements/run.txt

clean:  ## removes the environment and build products
	rm -rf $(VENV) build dist *.egg-info .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
