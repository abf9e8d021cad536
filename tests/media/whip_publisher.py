"""Publishes a film by WHIP with libav's own muxer, the one of ``ffmpeg -f whip``.

``python -m tests.media.whip_publisher ADDRESS FOLDER``. H.264 and Opus, in real time, over and
over until its standard input is closed.
"""

from __future__ import annotations

import datetime
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.media.browser_call import RATE, SIZE, film

from safelight.testing.webrtc_peers import HUM_HZ, SOUND_RATE, SOUND_STEP

_VIDEO: Final[dict[str, object]] = {
    "preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "bf": "0", "g": "20",
    # Bits enough: a starved picture of the canary has less of what makes it one.
    "b": "4000000",
}  # fmt: skip


def certificate(folder: Path) -> dict[str, str]:
    """Return the muxer's options for a certificate on P-256.

    Where libav was built with GnuTLS it makes its own on P-224, which OpenSSL refuses.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "publisher")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(form))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            form, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}


def hum(at: int) -> av.AudioFrame:
    phase = 2 * np.pi * HUM_HZ * (at + np.arange(SOUND_STEP)) / SOUND_RATE
    samples = np.repeat((8000 * np.sin(phase)).astype(np.int16), 2)[np.newaxis]
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, at, Fraction(1, SOUND_RATE)
    return frame


def publish(address: str, folder: Path, enough: threading.Event) -> None:
    with av.open(address, "w", format="whip", options=certificate(folder)) as out:
        video = out.add_stream("libx264", rate=RATE)
        video.width, video.height = SIZE
        video.pix_fmt, video.options = "yuv420p", _VIDEO
        audio = out.add_stream("libopus", rate=SOUND_RATE)
        audio.layout = "stereo"
        began_s, index, sounded = time.monotonic(), 0, 0
        while not enough.is_set():
            for rgb in film(moving=False):
                time.sleep(max(0.0, began_s + index / RATE - time.monotonic()))
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = index, Fraction(1, RATE)
                out.mux(video.encode(frame))
                index += 1
                while sounded / SOUND_RATE < index / RATE:
                    out.mux(audio.encode(hum(sounded)))
                    sounded += SOUND_STEP


if __name__ == "__main__":
    closed = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        closed.set()

    threading.Thread(target=wait, daemon=True).start()
    publish(sys.argv[1], Path(sys.argv[2]), closed)
