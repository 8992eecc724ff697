"""Config trees for tests: real files, and what loading them comes to."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from hookd.config.load import load_config
from hookd.config.problems import ConfigInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from hookd.config.problems import Problem
    from hookd.core.config import Config, Webhook

SIGNING = "whsec_" + "A" * 32


def write_tree(top: Path, **files: str) -> Path:
    """Write files below `top`; `main` is hookd.yaml, `a__b` is a/b.yaml, and a name with a dot is itself."""
    for name, text in files.items():
        path = top / ("hookd.yaml" if name == "main" else name.replace("__", "/") + ("" if "." in name else ".yaml"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return top / "hookd.yaml"


def load_tree(top: Path, **files: str) -> Config:
    """Write files and load them."""
    return load_config(write_tree(top, **files))


def problems_of(top: Path, **files: str) -> list[Problem]:
    """Write files that do not make a config, and give what is wrong with them."""
    try:
        load_config(write_tree(top, **files))
    except ConfigInvalid as error:
        return list(error.problems)
    return []


def load_webhook(top: Path, keys: str, *, above: str = "", **files: str) -> Webhook:
    """Load a config whose only webhook `w` has these keys besides a url and events."""
    main = f"version: 1\n{textwrap.dedent(above)}\nwebhooks:\n  w:\n    url: https://example.com/w\n    events: [a.b]\n"
    main += textwrap.indent(textwrap.dedent(keys), "    ")
    write_tree(top, main=main, **files)
    return load_config(top / "hookd.yaml").webhooks["w"]
