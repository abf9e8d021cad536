"""OBS Studio with a profile of a test's own: it plays a film over and over, and streams at once."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Final

_NAME: Final = "guard"  # of the profile and the collection of scenes
_GLOBAL: Final = f"""[General]
FirstRun=true
EnableAutoUpdates=false
[Basic]
Profile={_NAME}
ProfileDir={_NAME}
SceneCollection={_NAME}
SceneCollectionFile={_NAME}
"""
_PROFILE: Final = f"""[General]
Name={_NAME}
[Output]
Mode=Simple
[SimpleOutput]
StreamEncoder=x264
VBitrate=3000
Preset=ultrafast
[Video]
BaseCX={{width}}
BaseCY={{height}}
OutputCX={{width}}
OutputCY={{height}}
FPSType=1
FPSInt={{rate}}
"""


def start(
    folder: Path, film: Path, address: str, *, size: tuple[int, int], rate: int, display: str
) -> subprocess.Popen[bytes]:
    """Start it; somebody listens at ``address`` already."""
    server, _, key = address.rpartition("/")
    basic = folder / ".config/obs-studio/basic"
    profile = basic / "profiles" / _NAME
    profile.mkdir(parents=True)
    (basic / "scenes").mkdir()
    (basic.parent / "global.ini").write_text(_GLOBAL)
    (profile / "basic.ini").write_text(_PROFILE.format(width=size[0], height=size[1], rate=rate))
    service = {"type": "rtmp_custom", "settings": {"server": server, "key": key}}
    (profile / "service.json").write_text(json.dumps(service))
    (basic / "scenes" / f"{_NAME}.json").write_text(json.dumps(_scenes(film)))
    environment = {
        **os.environ,
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / ".config"),
        "XDG_RUNTIME_DIR": str(folder),
        "DISPLAY": display,
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "QT_QPA_PLATFORM": "xcb",
    }
    command = ["obs", "--multi", "--startstreaming", "--disable-updater"]
    with (folder / "obs.log").open("wb") as log:
        return subprocess.Popen(
            [*command, "--profile", _NAME, "--collection", _NAME],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _scenes(film: Path) -> dict[str, object]:
    plays = {"local_file": str(film), "looping": True, "is_local_file": True, "hw_decode": False}
    item = {"name": "film", "id": 1, "visible": True, "pos": {"x": 0.0, "y": 0.0}}
    return {
        "name": _NAME,
        "current_scene": "Scene",
        "current_program_scene": "Scene",
        "scene_order": [{"name": "Scene"}],
        "sources": [
            {"id": "ffmpeg_source", "name": "film", "settings": plays},
            {"id": "scene", "name": "Scene", "settings": {"id_counter": 1, "items": [item]}},
        ],
    }
