# Every target sets itself up: a fresh Debian or Ubuntu with make and Python 3.11+ is enough.
# What is installed is what the lock files pin, into .venv and nowhere else.
#
#   make PYTHON=python3.12 test    use this interpreter for .venv
#   make JOBS=4 test               run this many tests at a time (default 2)
#   make SECONDS=600 fuzz          search each fuzz target for so long (default 60)
#   make TARGETS="media" fuzz      search these targets only

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
SECONDS ?= 60
TARGETS ?=
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadgroup

# Somebody's own environment must not decide what the guard is built from or tested with.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
export PYTHON

.PHONY: help demo test check long e2e bench evidence faults fuzz lint lock setup setup-dev setup-peers setup-pages

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: setup ## guard a drawn scene with a canary in it; writes safelight-demo/
	@$(BIN)/safelight demo

test: setup-dev setup-peers setup-pages lint ## everything CI runs: lint, types, all tests but the long ones
	@$(PYTEST) -m "not long"

long: setup-dev setup-peers setup-pages ## what needs minutes and a quiet machine: the audit's planted violations, the fuzzer's
	@$(BIN)/pytest -m long

check: setup-dev lint ## the quick part: lint, types, fast tests
	@$(PYTEST) -m "not slow and not e2e and not long"

e2e: setup-dev setup-peers ## the tests that start other programs on loopback
	@$(PYTEST) -m "e2e and not long"

bench: setup ## measure speed on this machine
	@$(BIN)/safelight bench

# MEDIA is where the ordinary test clips lie; without them what needs them is "not measured".
MEDIA ?= ../shared/media
OUT ?= safelight-evidence
evidence: setup-dev setup-pages ## run what the evidence pack reports, and write pack, page and brief
	@$(BIN)/safelight evidence --brief --out $(OUT) $(if $(wildcard $(MEDIA)),--media $(MEDIA))

fuzz: setup-dev ## search every parser for inputs that break it; SECONDS=60 for each
	@$(BIN)/python -m tests.fuzz.long --seconds $(SECONDS) $(TARGETS)

# FAULTS and REAL say how many, SEED which ones: make faults FAULTS=100 REAL=0 SEED=7
FAULTS ?= 10000
REAL ?= 500
SEED ?= 1
faults: setup-dev ## inject faults by the thousand, count what leaks (a quarter of an hour)
	@$(BIN)/python -m tests.faults --faults $(FAULTS) --real $(REAL) --seed $(SEED)

lint: setup-dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

setup:
	@tools/setup-venv runtime

setup-dev:
	@tools/setup-venv dev

# The system packages that tests need: the programs that the guard talks to or lives in.
setup-peers:
	@tools/need-program ffmpeg ffmpeg "the tests that publish and read RTMP"
	@tools/need-program "command -v nginx && ls /usr/lib/nginx/modules/ngx_rtmp_module.so" \
	  "nginx libnginx-mod-rtmp" "the test of a real RTMP server"
	@tools/need-program janus janus "the test of a real WebRTC server"
	@tools/need-program ip iproute2 "the test of a call over a rough network"
	@tools/need-program node nodejs "the tests of a host app in another language"
	@tools/need-program "gst-inspect-1.0 python && gst-inspect-1.0 x264enc && gst-inspect-1.0 avdec_h264" \
	  "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-python3-plugin-loader gir1.2-gst-plugins-base-1.0" \
	  "the tests of the GStreamer element"
	@tools/need-program "gst-inspect-1.0 rtph264pay && ls /usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib" \
	  "gir1.2-gst-rtsp-server-1.0 python3-gi" "the tests of a network camera"
	@tools/need-program chromium chromium "the tests of calls from a real browser"
	@tools/need-program "gst-inspect-1.0 pipewiresink && command -v wireplumber && command -v pw-cli && command -v dbus-daemon" \
	  "pipewire pipewire-bin wireplumber gstreamer1.0-pipewire dbus" "the tests of the guarded camera"
	@tools/need-program "ls /usr/lib/systemd/systemd /usr/lib/systemd/user/dbus.socket && command -v nsenter" \
	  "systemd dbus-user-session util-linux" "the tests of the guarded camera's unit"
	@tools/need-program "command -v chromium && command -v Xvfb && command -v gdbus && ls /usr/libexec/xdg-desktop-portal-gtk" \
	  "chromium xvfb xdg-desktop-portal xdg-desktop-portal-gtk libglib2.0-bin" "the tests of the guarded camera in a browser"

# WeasyPrint lays out PDF with Pango, which is a system library.
setup-pages:
	@tools/need-library libpangoft2-1.0.so.0 libpangoft2-1.0-0 "PDF of the evidence"
	@tools/need-library libharfbuzz-subset.so.0 libharfbuzz-subset0 "PDF of the evidence"

lock: ## pin the dependencies of pyproject.toml anew, with hashes (needs the network)
	@tools/lock
