# Two commands do everything on a fresh Linux machine with Python 3.10 to 3.12:
#   make demo    train, calibrate, convert, predict and report on synthetic speech
#   make test    lint, types and every test
#   make test-device PYTHON=python3.13    the tests of what runs on a board, with NumPy alone
# And with a C++ compiler (for aarch64 Debian's g++-aarch64-linux-gnu):
#   make wheel, make wheel-aarch64    the package for boards into dist/: NumPy is all that it needs
# For the documentation:
#   make docs       build it into build/site/; warnings are errors
#   make figures    write the figures of README.md and docs/ anew from benchmarks/results/

PYTHON ?= $(shell for p in python3.12 python3.11 python3.10 python3; do \
  $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/demo
# The tests that use TensorFlow are the slow ones; a process for each core, and a file stays in one process.
PYTEST_OPTIONS ?= -n 2 --dist loadfile
# Larq Zoo for a test, as the extra `zoo` has it. It works with our packages, but asks for a protobuf that is slow from
# Python 3.11 on, and for data sets; so here without what it asks for.
ZOO := larq-zoo==2.4.0 zookeeper==1.4.0 typeguard~=4.4 click~=8.1

# What was compiled once from the same source with the same flags, as the check of the kernels is, is taken again.
ifneq ($(shell command -v ccache),)
export CMAKE_C_COMPILER_LAUNCHER := ccache
export CMAKE_CXX_COMPILER_LAUNCHER := ccache
endif

.PHONY: demo test test-device test-aarch64 lint docs figures clean wheel wheel-aarch64 sdist

# The native runtime is compiled by the installation, so a change of its sources is a reason for a new one.
NATIVE_CODE := $(shell find bnn_exit/runtime/native -name '*.cpp' -o -name '*.h' -o -name '*.inc' -o -name '*.c')
NATIVE := $(NATIVE_CODE) $(shell find bnn_exit/runtime/native -name '*.cmake' -o -name CMakeLists.txt)

# Installs the package with some extras. The library is compiled while the packages are installed, and their thousands of
# Python files, few of which are imported, are left to be compiled by the import. uv installs the same packages in a
# fraction of pip's time; where it cannot, pip does.
define install
@test -n "$(PYTHON)" || { echo "error: no Python 3.10 to 3.12 found: install one, or give PYTHON=path" >&2; exit 1; }
$(PYTHON) -m venv $(VENV)
$(BIN)/python .ci/requirements.py $(1) > $(VENV)/requirements.txt
BNN_EXIT_REQUIRE_NATIVE=1 $(PIP_INSTALL) --no-deps -e . & \
  { $(PIP_INSTALL) 'uv>=0.5,<1' && $(BIN)/uv pip install --quiet --python $(BIN)/python -r $(VENV)/requirements.txt; } || \
  $(PIP_INSTALL) -r $(VENV)/requirements.txt; packages=$$?; wait $$! && exit $$packages
endef
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile

$(VENV)/installed: pyproject.toml $(NATIVE)
	$(call install,train synthetic report search beam microphone wyoming client server test docs)
	$(PIP_INSTALL) --no-deps $(ZOO)
	touch $(VENV)/runnable $@

# Tests make warnings errors, and compiling the packages gives some.
$(VENV)/compiled: $(VENV)/installed
	-$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1
	touch $@

# What the demo needs, which is much less than the tests need.
$(VENV)/runnable: pyproject.toml $(NATIVE)
	$(call install,train synthetic report)
	touch $@

demo: $(VENV)/runnable
	rm -rf $(RUN)
	$(BIN)/python -m bnn_exit.train --task synthetic --size small --epochs 12 --out $(RUN)
	$(BIN)/python -m bnn_exit.evaluate $(RUN)
	$(BIN)/python -m audio_tasks synthetic --write $(RUN)/clips --count 5
	$(BIN)/python -m bnn_exit.predict $(RUN)/model.tflite $(RUN)/clips/*.wav --explain
	$(BIN)/python -m bnn_exit.report $(RUN)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(NATIVE_CODE) tests/native/*.c
	$(BIN)/mypy

test: $(VENV)/installed
	$(MAKE) --no-print-directory -j 2 lint $(VENV)/compiled
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

# MkDocs Material announces its successor at every build otherwise.
docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Python alone is enough.
figures:
	$(PYTHON) docs/figures.py

# Of what runs on a board, with NumPy alone: make test-device PYTHON=python3.14 NUMPY=oldest
NUMPY ?= newest
test-device:
	$(PYTHON) .ci/test_device.py --numpy $(NUMPY)

# Kernels, the C example and the wheel of 64-bit Arm, under qemu.
test-aarch64: $(VENV)/compiled
	$(BIN)/python -m pytest tests/native/test_aarch64.py

build/wheel-environment:
	$(PYTHON) -m venv $@

# Zopfli packs a wheel smaller.
build/wheel-environment/zopfli: build/wheel-environment
	build/wheel-environment/bin/pip install --quiet --disable-pip-version-check 'zopflipy>=1.10'
	touch $@

wheel: build/wheel-environment/zopfli
	build/wheel-environment/bin/python .ci/build_wheel.py

wheel-aarch64: build/wheel-environment/zopfli
	build/wheel-environment/bin/python .ci/build_wheel.py --machine aarch64

sdist: build/wheel-environment
	build/wheel-environment/bin/pip install --quiet --disable-pip-version-check build
	build/wheel-environment/bin/python -m build --sdist --outdir dist

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
