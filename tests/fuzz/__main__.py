"""Runs the fuzzer: `make fuzz ARGS="[target] [seconds] [option of libFuzzer …]"`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CORPUS: Final = Path(__file__).parent / "corpus"

#: What the fuzzer grew, beside the corpus that is kept: large, and made again by any run.
GROWN: Final = ROOT / ".cache" / "fuzz"

DEFAULT_SECONDS: Final = 60

#: Seconds that one input may take, and MB of memory.
SLOWEST: Final = 10
MEMORY: Final = 2048

#: Packages whose branches guide the fuzzer: ours, and the readers that ours are made of.
_OF_INTEREST: Final = ["iexec_worker", "cattrs", "eth_abi", "httpx", "isodate", "stompman"]

sys.path.insert(0, str(ROOT))


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz one target in this process; never returns."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]  # in a group of its own

    with atheris.instrument_imports(include=_OF_INTEREST):
        from tests.fuzz.targets import TARGETS, quiet
    quiet()
    target = TARGETS[name]
    target(b"")  # before the fuzzer watches: first calls import and compile
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()


def run(name: str, seconds: int, more: list[str]) -> int:
    """Fuzz one target in a process of its own: the fuzzer ends the one that it runs in."""
    from tests.fuzz.words import dictionary

    grown = GROWN / name
    grown.mkdir(parents=True, exist_ok=True)
    kept, words = CORPUS / name, GROWN / f"{name}.words"
    words.write_text(dictionary())
    options = [
        str(grown),
        *([str(kept)] if kept.is_dir() else []),
        f"-max_total_time={seconds}",
        f"-dict={words}",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={grown}/",
        *more,
    ]
    print(f"fuzzing {name} for {seconds} s", flush=True)  # noqa: T201 - a tool for a terminal
    command = [sys.executable, str(Path(__file__)), "--inside", name, *options]
    return subprocess.run(command, check=False, cwd=ROOT).returncode


def main(words: list[str]) -> int:
    if words[:1] == ["--inside"]:
        fuzz(words[1], words[2:])
    from tests.fuzz.targets import TARGETS

    names = [words.pop(0)] if words and words[0] in TARGETS else list(TARGETS)
    seconds = int(words.pop(0)) if words and words[0].isdecimal() else DEFAULT_SECONDS
    if words and not words[0].startswith("-"):
        print(f"no target {words[0]!r}; there are: {', '.join(TARGETS)}")  # noqa: T201 - as above
        return 2
    failed = [name for name in names if run(name, seconds, words)]
    if failed:
        print(f"found something: {', '.join(failed)}; see {GROWN}")  # noqa: T201 - as above
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
