# Everything here works on a fresh machine with Python 3.11, make and, for what needs disks, root: each target
# installs and builds what it needs, outside the checkout but for .venv. `make` alone lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed-$(firstword $(shell sha256sum setup.cfg))

CODE := tidb_volume volume_controller disk_daemon
# What needs no node: pure tables, the model of the API, the real API server, loop disks.
QUICK := $(wildcard tests/unit tests/model tests/api tests/disks)
# In an emulated machine; CI has what a guard stands on, and no reboots.
HW := $(if $(CI),$(patsubst %,tests/hw/test_%.py,identity holders refused nvme_format),tests/hw)
# One has all disks; on two cores it and another wait half of the time, for disks and servers.
WORKERS ?= 3
K8S ?=
ROUNDS ?= 100
SECONDS ?= $(if $(CI),120,3600)
ARGS ?=
export K8S ROUNDS

CONTROL_PLANE := etcd kube-apiserver kube-controller-manager kube-scheduler kubectl
for_tests = $(BIN)/python -m tests.cluster packages && $(BIN)/python -m tests.cluster build $(CONTROL_PLANE) >/dev/null

# Runs a recipe, then says how long it took, whatever came of it.
define timed
@begun=$$(date +%s); ( set -e; $(1) ); code=$$?; echo "make $@: $$(( $$(date +%s) - begun )) s"; exit $$code
endef

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(STAMP) ## .venv with everything that setup.cfg names

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, this is $$($(PYTHON) -V); say which: make PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv; } \
	  || { echo "python3-venv is missing; as root: apt-get install python3-venv"; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,dev,cli]'
	@rm -f $(VENV)/installed-*; touch $@

.PHONY: lint
lint: $(STAMP) ## style, types, layers, and rendered files that are up to date
	$(call timed,\
	  $(BIN)/ruff check . && $(BIN)/ruff format --check . \
	  && $(BIN)/mypy $(CODE) tests/cluster deploy \
	  && $(BIN)/lint-imports \
	  && $(BIN)/python -m deploy.generate_crds --check)

.PHONY: crds
crds: $(STAMP) ## render the CRDs from tidb_volume/value.py
	@$(BIN)/python -m deploy.generate_crds

.PHONY: test
test: $(STAMP) ## unit tests, and tests against a real API server (ARGS='-k one' to choose)
	$(call timed,\
	  $(for_tests) \
	  && $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0 -q -m 'not long' $(QUICK) $(ARGS))

# One at a time: who asks what a loop device lies on has it open for a moment, and another test's look sees that;
# and a disk that hangs holds up whoever syncs all there are.
.PHONY: test-disks
test-disks: $(STAMP) ## disks that fail, lie and lose power, and processes killed, at every moment; needs root
	$(call timed,\
	  $(for_tests) \
	  && $(BIN)/python -m pytest -q -m long tests/disks $(ARGS))

.PHONY: test-deep
test-deep: $(STAMP) ## the model of a disk's life with fresh seeds (SECONDS=3600; ARGS=--self-test: what it would find)
	@$(BIN)/python -m tests.unit.life.model.deep --seconds $(SECONDS) $(if $(CI),--of-tree) $(ARGS)

.PHONY: guards
guards: $(STAMP) ## each guard taken away, each decision broken: its tests must fail (ARGS='-k one' to choose)
	$(call timed,\
	  $(BIN)/python -m tests.cluster packages \
	  && $(BIN)/python -m pytest -q --without-guards tests/unit tests/disks $(ARGS))

.PHONY: mutants
mutants: $(STAMP) ## each change to what decides and guards must fail a test (ARGS='guards.py' to choose)
	@$(BIN)/python -m tests.mutants $(if $(CI),--changed-since recorded --minutes 5 --jobs 2) $(ARGS)

.PHONY: e2e
e2e: $(STAMP) ## real kubelets, containers and disks; needs root (K8S=1.32 chooses a version)
	@[ "$$(id -u)" = 0 ] || { echo "make e2e did not run: real nodes and loop disks need root"; [ -z "$$CI" ]; }
	@[ "$$(id -u)" != 0 ] || { \
	  $(BIN)/python -m tests.cluster build >/dev/null \
	  && $(BIN)/python -m deploy.image \
	  && $(BIN)/python -m pytest -v -ra tests/e2e $(ARGS); }

.PHONY: hw
hw: $(STAMP) ## disks with hardware of their own, real udev, unplugging, in an emulated machine; needs root
	@$(BIN)/python -m tests.hw.image && $(BIN)/python -m pytest -v -ra $(HW) $(ARGS)

.PHONY: chaos
chaos: $(STAMP) ## tenants come and go while everything around them fails (SECONDS=3600; ARGS=--self-test: what it would find)
	@$(BIN)/python -m tests.chaos --seconds $(SECONDS) $(ARGS)

.PHONY: e2e-deployed
e2e-deployed: $(STAMP) ## a disk's life on the cluster that KUBECONFIG names, as deployed there
	@[ -n "$$KUBECONFIG" ] && [ -n "$$E2E_DISK" ] || { \
	  echo "say on which cluster, and on which spare disk: KUBECONFIG=… E2E_DISK=NODE=/FOLDER make e2e-deployed"; exit 1; }
	$(call timed,$(BIN)/python -m pytest -q tests/deployed $(ARGS))

.PHONY: e2e-plain
e2e-plain: $(STAMP) ## e2e-deployed on a cluster that a plain script starts and takes away; needs root
	$(call timed,\
	  { command -v skopeo >/dev/null || { apt-get update -qq \
	      && apt-get install -y -qq --no-install-recommends skopeo; } >/dev/null; } \
	  && programs=$$($(BIN)/python -m tests.cluster build) \
	  && PATH=$$(printf '%s\n' "$$programs" | xargs -n 1 dirname | sort -u | paste -sd :):$$PATH \
	  && $(BIN)/python -m deploy.image \
	  && tests/deployed/plain-cluster.sh run $(MAKE) e2e-deployed)

.PHONY: demo
demo: $(STAMP) ## the main job, start to end, on a cluster of two real nodes; needs root
	$(call timed,$(BIN)/python -m tests.demo $(ARGS))

.PHONY: cluster
cluster: $(STAMP) ## a real cluster with loop disks, in namespaces of its own; without root the API server alone
	@$(BIN)/python -m tests.cluster up $(ARGS)

.PHONY: cluster-down
cluster-down: $(STAMP) ## take it away
	@$(BIN)/python -m tests.cluster down $(ARGS)

.PHONY: image
image: $(STAMP) ## the images of both programs, as archives, without a Docker daemon
	$(call timed,$(BIN)/python -m deploy.image $(ARGS))

.PHONY: bench-reclaim
bench-reclaim: $(STAMP) ## from deleting a claim to a clean disk on offer (ROUNDS=100)
	@$(BIN)/python -m bench.reclaim --rounds $(ROUNDS) $(ARGS)

.PHONY: bench-offer
bench-offer: $(STAMP) ## from a blank disk's line in the ConfigMap to its PersistentVolume
	@$(BIN)/python -m bench.offer $(ARGS)

.PHONY: bench-memory
bench-memory: $(STAMP) ## of both programs, with 10 volumes and with 10,000 (ARGS='--volumes 1000')
	@$(BIN)/python -m bench.memory $(ARGS)
