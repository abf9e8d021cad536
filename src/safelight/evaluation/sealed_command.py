"""What ``safelight evaluate --sealed`` does, step by step, with a log of the steps."""

from __future__ import annotations

from pathlib import Path

import safelight
from safelight.errors import UsageError
from safelight.evaluation import evaluating, evaluation, manifest, sealing, signing
from safelight.evaluation.command import Request, Sealed, line, made, write
from safelight.evaluation.evaluating import Plan, Tell


def evaluate(request: Request, given: Sealed, tell: Tell) -> list[str]:
    """Evaluate in a sealed room and return the lines to print.

    Raises:
        UntrustedError: a network can be reached.
        SafelightError: the corpus, a key, the bundle or a folder cannot be used.
    """
    network = sealing.check_network()
    secret_path, key_path, lab = _all_of(given)
    secret, key = signing.secret(secret_path), signing.load(key_path)
    folder = request.files or (request.corpus if request.corpus.is_dir() else request.corpus.parent)
    sealing.check_folders(request.out, lab, folder)
    # A dump would hold pictures.
    safelight.hide_this_process()
    corpus = manifest.read(request.corpus)
    out = made(request.out)
    made(lab)
    log = sealing.Log(out / sealing.LOG)
    log.say(f"1. {sealing.version()} begins a sealed evaluation.")
    log.say(f"2. {network} Nothing was sent to find this out.")
    earlier = sealing.earlier_runs(lab)
    log.say(f"3. This lab's folder lists {len(earlier)} earlier runs. {sealing.DIFFERENCING}")
    log.say("4. Results of items are held in memory alone. If this run breaks, it begins again.")
    plan = Plan(corpus, folder, request.setup, out, key=secret, jobs=request.jobs)
    ran = evaluating.run(plan, tell)
    log.say(f"5. Protocol, digested before the first item: {ran.protocol.sha256}")
    log.say("   The corpus is named by an HMAC under the lab's secret, in the protocol.")
    result = sealing.of(evaluation.of(ran, line(request)), earlier, network)
    text = result.as_json()
    sealing.check_network()
    log.say("6. Every item was run. There is still no network.")
    write(lab / sealing.FAULTS, sealing.lab_faults(ran.faults))
    log.say("7. Faulty items are listed by index in the lab's folder, which does not leave.")
    # Listed first: a result that is there was listed, whatever breaks.
    sealing.remember(lab, ran.protocol)
    write(out / sealing.RESULT, text)
    (out / sealing.SIGNATURE).write_bytes(key.sign(text.encode()))
    log.say(f"8. {sealing.RESULT} is written and signed. Its SHA-256: {sealing.digest(text)}")
    log.say("9. Cells of fewer than 10 are suppressed, and others where they would give one away.")
    log.say("   Counts are in tens, and what is made of them is made of tens.")
    files = f"protocol.json, {sealing.RESULT}, {sealing.SIGNATURE}, {sealing.LOG}"
    log.say(f"10. What may leave the room: {files}. Read them before they do.")
    sealing.same_time(out)
    return [*log.lines]


def _all_of(given: Sealed) -> tuple[Path, Path, Path]:
    if given.key is None or given.sign_with is None or given.lab_dir is None:
        raise UsageError(
            "a sealed run needs --key, --sign-with and --lab-dir", "see docs/sealed-evaluation.md"
        )
    return given.key, given.sign_with, given.lab_dir
