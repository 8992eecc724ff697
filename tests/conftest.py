"""What holds for every test: a run says the same of the same code, on a machine of any speed, whoever starts it.

Drawn examples are those of Hypothesis' own profile for such runs: the same ones each time, and no deadline for each of
them, since a machine that is busy for a moment is no fault of the code. `--hypothesis-profile=default` draws new ones.

git is asked as one that nobody has set up, and of no repository but those of the tests: it may be a hook of git's that
runs them, and somebody who signs commits.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.load_profile("ci")
for _name in [name for name in os.environ if name.startswith("GIT_")]:
    del os.environ[_name]
os.environ["GIT_CONFIG_GLOBAL"] = os.environ["GIT_CONFIG_SYSTEM"] = os.devnull
