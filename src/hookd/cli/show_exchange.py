"""A request and its response, printed for people."""

from __future__ import annotations

from typing import Any

from hookd.cli.output import styled
from hookd.cli.readable import format_body, make_visible


def print_exchange(shown: dict[str, Any]) -> None:
    """Print what `describe_log_line` gave of an attempt: request and response if they are kept, or why not."""
    request = shown.get("request")
    why = f"{shown.get('cause')}: {shown.get('detail')}" if shown.get("detail") else str(shown.get("cause"))
    if request is None:
        if shown["outcome"] == "not_sent":
            print(styled(f"nothing was sent: {make_visible(why)}", "bad"))
        else:
            print("(the whole exchange is no longer kept)")
        return
    print(styled(make_visible(f"{request['method']} {request['url']}"), "strong"))
    _print_message(request["headers"], request["body"])
    response = shown.get("response")
    print()
    if response is None:
        print(styled(f"no response: {make_visible(why)}", "bad"))
        return
    style = "good" if 200 <= response["status"] < 300 else "bad"  # noqa: PLR2004  HTTP's success
    print(styled(str(response["status"]), style))
    _print_message(response["headers"], response["body"])


def _print_message(headers: list[list[str]], body: object) -> None:
    for name, value in headers:
        print(f"{styled(make_visible(name) + ':', 'faint')} {make_visible(value)}")
    kind = next((value for name, value in headers if name.lower() == "content-type"), "")
    text = format_body(kind, body)
    if text:
        print()
        print(text)
