"""What the tokens of the control API are bound to: profiles on which tenants build webhooks of their own.

Rules of this module:

1. A tenant says where requests go, so they may carry no secret of the operator's but a signature. A profile that has
   one is refused when the config is read: at the first webhook would be too late for one that is there already.
2. A token without a `managed_dir` could change nothing.
3. A profile that nobody but a token names is built all the same, so that what is wrong with it is told with the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookd.core.addresses import tells_secret
from hookd.core.config import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hookd.config.building.reader import Findings
    from hookd.core.config import Webhook
    from hookd.core.daemonconfig import DaemonConfig


def check_tokens(
    daemon: DaemonConfig,
    profiles: Iterable[str],
    try_profile: Callable[[str], Webhook | None],
    findings: Findings,
    *,
    managed_dir: str | None,
) -> None:
    """Refuse tokens with nowhere to write, and one whose profile is missing, or sends a secret wherever a tenant likes.

    `try_profile` gives what a webhook of a profile would be, None if a part of the profile is missing.
    """
    if daemon.control.tokens and managed_dir is None:
        message = "the tokens of the control API need a `managed_dir`, where the webhooks of their tenants are written"
        findings.report(daemon.control.tokens[0].place, message, "missing_key")
    known = frozenset(profiles)
    tried: dict[str, str | None] = {}
    for token in daemon.control.tokens:
        if token.profile not in known:
            message = f"there is no profile `{token.profile}`, which a token of the control API is bound to"
            findings.report(token.place, message, "unknown_profile")
            continue
        if token.profile not in tried:
            webhook = try_profile(token.profile)
            tried[token.profile] = None if webhook is None else secret_sent(webhook)
        secret = tried[token.profile]
        if secret is not None:
            message = (
                f"{secret} of the profile `{token.profile}` would be sent to whatever URL the tenant of this token "
                "names; bind the token to a profile without"
            )
            findings.report(token.place, message, "secret_for_tenants")


def secret_sent(webhook: Webhook) -> str | None:
    """Give which secret of the operator's a webhook's requests carry, as the key that says so. A signature is none."""
    if webhook.auth is not None:
        return "`auth`"
    for name, value in webhook.headers:
        if isinstance(value, Reference) or tells_secret(name):
            return f"`headers.{name}`"
    used = sorted(webhook.body.template.secret_names)
    return f"`secrets.{used[0]}`" if used else None
