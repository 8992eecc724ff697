"""One broken config for each kind of mistake, and exactly what is said about it: file, line, column, code, message.

Read as a newcomer would: each message says what is wrong, where, and what to do about it. An arrow shows what was
probably meant, and brackets the second place of a problem that has two.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hookd.config.checking.showing import render_problems
from hookd.config.load import load_config
from hookd.config.problems import CODES, ConfigInvalid, Problem

MISTAKES: list[tuple[str, dict[str, str], list[str]]] = [
    (
        "an indentation that fits nothing",
        {"hookd.yaml": ("version: 1\nwebhooks:\n  crm:\n    url: https://a.example/\n   events: ['*']\n")},
        [
            (
                "hookd.yaml:5:4 [yaml_syntax] this line is indented by 3, and what stands above by 4 and 2: give it "
                "one of these"
            )
        ],
    ),
    (
        "a colon in a text",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    name: CRM: the new one\n"
            )
        },
        [
            (
                "hookd.yaml:6:14 [yaml_syntax] a `:` is not expected here: check the indentation, and put a "
                "text that holds `: ` in quotes"
            )
        ],
    ),
    (
        "a bracket that is never closed",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    retry: {schedule: [1s, 5s}\n"
            )
        },
        [
            (
                "hookd.yaml:6:23 [yaml_syntax] this `[` is never closed, or a comma or quotes are missing in it "
                "(hookd.yaml:6:30)"
            )
        ],
    ),
    (
        "quotes that are never closed",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                '    name: "CRM\n'
            )
        },
        ["hookd.yaml:6:11 [yaml_syntax] the quotes that open here are never closed"],
    ),
    (
        "a tab",
        {"hookd.yaml": ("version: 1\nwebhooks:\n\tcrm: {}\n")},
        ["hookd.yaml:3:1 [tab] YAML is indented with spaces; a tab stands here"],
    ),
    (
        "a text that begins with @",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    name: @crm\n"
            )
        },
        ["hookd.yaml:6:11 [yaml_syntax] a text that begins with `@` must be in quotes"],
    ),
    (
        "an alias without its anchor",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    test_event: *user\n"
            )
        },
        [
            (
                "hookd.yaml:6:17 [yaml_syntax] no anchor of this name stands above; an anchor ends with its file, and"
                " what files share is a profile"
            ),
        ],
    ),
    (
        "a star without quotes",
        {"hookd.yaml": "version: 1\nwebhooks:\n  crm:\n    url: https://a.example/\n    events: [*]\n"},
        ["hookd.yaml:5:14 [yaml_syntax] a text that begins with `*` must be in quotes: '*'"],
    ),
    (
        "a dash without its space",
        {"hookd.yaml": "version: 1\nwebhooks:\n  crm:\n    url: https://a.example/\n    events:\n      -user.new\n"},
        ["hookd.yaml:6:7 [wrong_type] events must be a list: write a space behind its `-`"],
    ),
    (
        "a webhook whose keys are not indented",
        {"hookd.yaml": "version: 1\nwebhooks:\n  crm:\n  url: https://a.example/\n"},
        [
            (
                "hookd.yaml:3:7 [wrong_type] webhook `crm` must be a mapping; nothing stands here: its keys go below "
                "it, indented further"
            ),
            (
                "hookd.yaml:4:8 [wrong_type] webhook `url` must be a mapping; if the key `url` is meant, indent it "
                "further, below its webhook"
            ),
        ],
    ),
    (
        "webhooks as a list",
        {"hookd.yaml": "version: 1\nwebhooks:\n  - id: crm\n"},
        ["hookd.yaml:3:3 [wrong_type] webhooks must be a mapping: lines of `name: value`"],
    ),
    (
        "a mapping where a list belongs",
        {"hookd.yaml": "version: 1\nwebhooks: {}\nmoved: {from: a, to: b}\n"},
        ["hookd.yaml:3:8 [wrong_type] moved must be a list: begin each entry with `- `"],
    ),
    (
        "a number of retries",
        {"hookd.yaml": "version: 1\ndefaults: {retry: 3}\n"},
        [
            (
                "hookd.yaml:2:19 [wrong_type] defaults.retry must be a mapping with keys like schedule, jitter, "
                "max_age, permanent"
            )
        ],
    ),
    (
        "a second document",
        {"hookd.yaml": ("version: 1\n---\nwebhooks: {}\n")},
        ["hookd.yaml:2:1 [several_documents] a config file holds one YAML document; this begins a second one"],
    ),
    (
        "a tag",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    name: !env CRM\n"
            )
        },
        ["hookd.yaml:6:11 [tag] tags are not used here; a value is what it looks like"],
    ),
    (
        "a merge conflict",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "<<<<<<< HEAD\n"
                "    timeout: 5s\n"
                "=======\n"
                "    timeout: 10s\n"
                ">>>>>>> b\n"
            )
        },
        ["hookd.yaml:6:1 [conflict_marker] a merge conflict was left here: choose a side and remove the markers"],
    ),
    (
        "bytes that are not UTF-8",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    name: Caf\udce9\n"
            )
        },
        ["hookd.yaml:6:14 [not_utf8] this byte is not UTF-8; save the file as UTF-8"],
    ),
    (
        "a control character",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    name: a\x07b\n"
            )
        },
        [
            (
                "hookd.yaml:6:12 [control_character] the character U+0007 cannot stand here as it is; use an "
                "escape in double quotes"
            )
        ],
    ),
    (
        "the same key twice",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    timeout: 5s\n"
                "    timeout: 10s\n"
            )
        },
        ["hookd.yaml:7:5 [duplicate_key] the key `timeout` stands twice in this mapping (hookd.yaml:6:5)"],
    ),
    (
        "a key that is a number",
        {"hookd.yaml": ("version: 1\nwebhooks:\n  4711: {url: 'https://a.example/', events: ['*']}\n")},
        ["hookd.yaml:3:3 [key_not_text] YAML reads this key as a number: quote it"],
    ),
    (
        "no version",
        {"hookd.yaml": "webhooks: {}\n"},
        ["hookd.yaml:1:1 [missing_key] the file lacks `version`"],
    ),
    (
        "a misspelt key",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    timout: 10s\n"
            )
        },
        ["hookd.yaml:6:5 [unknown_key] webhook `crm` has no key `timout` -> timeout"],
    ),
    (
        "a misspelt section",
        {"hookd.yaml": ("version: 1\nwebhook: {}\n")},
        ["hookd.yaml:2:1 [unknown_key] the file has no key `webhook` -> webhooks"],
    ),
    (
        "a key of another section",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    state_dir: /var/lib/hookd\n"
            )
        },
        ["hookd.yaml:6:5 [unknown_key] webhook `crm` has no key `state_dir`; it belongs under `daemon`"],
    ),
    (
        "a section of the main file in an included one",
        {"hookd.yaml": ("version: 1\ninclude: [a.yaml]\n"), "a.yaml": "defaults: {timeout: 5s}\n"},
        ["a.yaml:1:1 [unknown_key] the file has no key `defaults`; it belongs at the top of the main file"],
    ),
    (
        "a text where a list belongs",
        {"hookd.yaml": ("version: 1\nwebhooks:\n  crm: {url: 'https://a.example/', events: user.updated}\n")},
        ["hookd.yaml:3:44 [wrong_type] events must be a list: put it in [ ]"],
    ),
    (
        "a tenant that looks like a number",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    tenant: 4711\n"
            )
        },
        ["hookd.yaml:6:13 [wrong_type] tenant must be a text: quote it"],
    ),
    (
        "yes where true belongs",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    ordered: yes\n"
            )
        },
        ["hookd.yaml:6:14 [wrong_type] ordered must be true or false (yes, no, on and off are texts in YAML 1.2)"],
    ),
    (
        "a duration without a unit",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    timeout: 10\n"
            )
        },
        ["hookd.yaml:6:14 [wrong_type] timeout must be a duration like 10s, 5m or 72h, above zero -> 10s"],
    ),
    (
        "a duration in words",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    timeout: 10 seconds\n"
            )
        },
        ["hookd.yaml:6:14 [bad_value] timeout must be a duration like 10s, 5m or 72h, above zero -> 10s"],
    ),
    (
        "a delay in a list",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    retry: {schedule: [1s, 5min]}\n"
            )
        },
        ["hookd.yaml:6:28 [bad_value] retry.schedule[1] must be a duration like 10s, 5m or 72h -> 5m"],
    ),
    (
        "a size with a decimal unit",
        {"hookd.yaml": ("version: 1\ndaemon: {limits: {event_bytes: 1MB}}\n")},
        [
            (
                "hookd.yaml:2:32 [bad_value] daemon.limits.event_bytes must be a size like 512B, 16KiB, 1MiB or 20GiB "
                "-> 1MiB"
            )
        ],
    ),
    (
        "a rate without its time",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    rate: 50\n"
            )
        },
        ["hookd.yaml:6:11 [wrong_type] rate must be a rate like 50/s or 3000/m, above zero -> 50/s"],
    ),
    (
        "a rate of nothing",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    rate: 0/s\n"
            )
        },
        ["hookd.yaml:6:11 [bad_value] rate must be a rate like 50/s or 3000/m, above zero"],
    ),
    (
        "a method that is none",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    method: GET\n"
            )
        },
        ["hookd.yaml:6:13 [bad_value] method must be one of POST, PUT, PATCH"],
    ),
    (
        "an id in capitals",
        {"hookd.yaml": ("version: 1\nwebhooks:\n  CRM sync: {url: 'https://a.example/', events: ['*']}\n")},
        [
            (
                "hookd.yaml:3:3 [bad_name] `CRM sync` is not an id: up to 63 of a-z 0-9 . _ -, beginning with"
                " a letter or digit -> crm-sync"
            )
        ],
    ),
    (
        "no url",
        {"hookd.yaml": ("version: 1\nwebhooks:\n  crm:\n    events: ['*']\n")},
        ["hookd.yaml:3:3 [missing_key] the webhook `crm` needs `url`"],
    ),
    (
        "a url without its scheme",
        {"hookd.yaml": ("version: 1\nwebhooks:\n  crm:\n    url: crm.example.com/hooks\n    events: ['*']\n")},
        ["hookd.yaml:4:10 [bad_url] the URL must begin with http:// or https://"],
    ),
    (
        "http where https is required",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: http://crm.example.com/\n"
                "    events: ['*']\n"
                "    require_https: true\n"
            )
        },
        ["hookd.yaml:4:10 [bad_url] the URL must begin with https://, because `require_https` is set"],
    ),
    (
        "an unknown event type",
        {
            "hookd.yaml": (
                "version: 1\n"
                "event_types: {user.updated: {}}\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://a.example/\n"
                "    events: [user.update]\n"
            )
        },
        ["hookd.yaml:6:14 [unknown_event_type] no event type of the catalogue matches `user.update` -> user.updated"],
    ),
    (
        "a pattern that matches no event type",
        {
            "hookd.yaml": (
                "version: 1\n"
                "event_types: {user.updated: {}}\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://a.example/\n"
                "    events: ['users.*']\n"
            )
        },
        ["hookd.yaml:6:14 [unknown_event_type] no event type of the catalogue matches `users.*` -> user.*"],
    ),
    (
        "a pattern with a star inside",
        {
            "hookd.yaml": (
                "version: 1\nwebhooks:\n  crm:\n    url: https://crm.example.com/\n    events: ['*.updated']\n"
            )
        },
        [
            (
                "hookd.yaml:5:14 [bad_value] events[0] must be an event type, exact or with `*` at the end, "
                "or `{event: PATTERN, active: false}`"
            )
        ],
    ),
    (
        "the same pattern twice",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated, user.updated]\n"
            )
        },
        ["hookd.yaml:5:28 [duplicate_pattern] the pattern `user.updated` stands twice in `events` (hookd.yaml:5:14)"],
    ),
    (
        "a template that is not closed",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                '    body: {template: {id: "$(data.id"}}\n'
            )
        },
        ["hookd.yaml:6:28 [bad_template] `$(` is never closed; a dollar sign before a parenthesis is `$$`"],
    ),
    (
        "a template that names nothing",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    body:\n"
                "      template:\n"
                "        id: $(user.id)\n"
            )
        },
        ["hookd.yaml:8:13 [bad_template] unknown attribute `user`; what the event carries is written `data.user.id`"],
    ),
    (
        "a secret that is not declared",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    secrets: {token: {env: T}}\n"
                "    body: {template: {t: $(secrets.tokn)}}\n"
            )
        },
        ["hookd.yaml:7:26 [undeclared_secret] there is no `tokn` in `secrets` -> token"],
    ),
    (
        "a filter with an unknown operator",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    filter: {data.amount: {atleast: 100}}\n"
            )
        },
        [
            (
                "hookd.yaml:6:28 [bad_filter] unknown operator `atleast`; a deeper path is written in one "
                "line: `data.amount.atleast`; there are eq ne in gt gte lt lte prefix suffix contains regex "
                "exists"
            )
        ],
    ),
    (
        "a filter without data",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    filter: {country: NL}\n"
            )
        },
        ["hookd.yaml:6:14 [bad_filter] unknown attribute `country`; what the event carries is written `data.country`"],
    ),
    (
        "a filter with a bad regex",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    filter: {data.code: {regex: '(?=x)'}}\n"
            )
        },
        [
            (
                "hookd.yaml:6:33 [bad_filter] `regex`: RE2 has no look-around, `(?!…)` and the like; `not` and a "
                "second line do the same"
            )
        ],
    ),
    (
        "a path that the schema cannot have",
        {
            "hookd.yaml": (
                "version: 1\n"
                "event_types: {user.updated: {schema: user.json}}\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    filter: {data.contry: NL}\n"
                "    body: {template: {a: $(data.country), b: $(data.city)}}\n"
            ),
            "user.json": '{"properties": {"country": {}}, "additionalProperties": false}\n',
        },
        [
            (
                "hookd.yaml:7:14 [impossible_path] no event of `user.updated` can have `data.contry`: the "
                "schema allows no such property -> data.country"
            ),
            (
                "hookd.yaml:8:46 [impossible_path] no event of `user.updated` can have `data.city`: the "
                "schema allows no such property"
            ),
        ],
    ),
    (
        "a schema that is not there",
        {"hookd.yaml": ("version: 1\nevent_types:\n  user.updated: {schema: user.json}\n")},
        ["hookd.yaml:3:26 [missing_file] there is no file at user.json"],
    ),
    (
        "a schema that is not JSON",
        {
            "hookd.yaml": ("version: 1\nevent_types:\n  user.updated: {schema: user.json}\n"),
            "user.json": ('{\n  "type": "object",\n}\n'),
        },
        ["user.json:3:1 [bad_schema] this is not JSON: a comma stands before this, and nothing follows it"],
    ),
    (
        "a schema that is not one",
        {
            "hookd.yaml": ("version: 1\nevent_types:\n  user.updated: {schema: user.json}\n"),
            "user.json": ('{\n  "properties": {"id": {"type": "interger"}}\n}\n'),
        },
        [
            (
                'user.json:2:33 [bad_schema] not a JSON Schema: `type` must be one of "array", "boolean", '
                '"integer", "null", "number", "object", "string" -> integer'
            )
        ],
    ),
    (
        "a schema with look-around",
        {
            "hookd.yaml": ("version: 1\nevent_types:\n  user.updated: {schema: user.json}\n"),
            "user.json": ('{\n  "properties": {\n    "id": {"pattern": "^(?!x)"}\n  }\n}\n'),
        },
        [
            (
                "user.json:3:23 [bad_schema] the pattern uses look-around, which the linear-time regular "
                "expressions here do not have"
            )
        ],
    ),
    (
        "a schema that refers to nothing",
        {
            "hookd.yaml": ("version: 1\nevent_types:\n  user.updated: {schema: user.json}\n"),
            "user.json": '{"$ref": "#/$defs/user"}\n',
        },
        ["user.json:1:10 [bad_schema] there is nothing at `#/$defs/user`"],
    ),
    (
        "a schema that refers to the network",
        {
            "hookd.yaml": ("version: 1\nevent_types:\n  user.updated: {schema: user.json}\n"),
            "user.json": '{"$ref": "https://schemas.example.com/user.json"}\n',
        },
        [
            (
                "user.json:1:10 [bad_schema] `https://schemas.example.com/user.json` is not a schema of this "
                "config, and references are never fetched: put the schema beside this one and refer to it by "
                "its path or its $id"
            )
        ],
    ),
    (
        "an included file that is not there",
        {"hookd.yaml": ("version: 1\ninclude: [crm.yaml]\n")},
        ["hookd.yaml:2:11 [missing_file] there is no file at crm.yaml"],
    ),
    (
        "an included directory",
        {"hookd.yaml": ("version: 1\ninclude: [webhooks.d]\n"), "webhooks.d/a.yaml": ""},
        ["hookd.yaml:2:11 [unreadable_file] webhooks.d is a directory; `webhooks.d/**/*.yaml` names the files in it"],
    ),
    (
        "a profile that is not there",
        {
            "hookd.yaml": (
                "version: 1\n"
                "profiles: {crm-style: {}}\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    profile: crm_style\n"
            )
        },
        ["hookd.yaml:7:14 [unknown_profile] there is no profile `crm_style` -> crm-style"],
    ),
    (
        "a profile that refers to itself",
        {"hookd.yaml": ("version: 1\nprofiles:\n  a: {profile: b}\n  b: {profile: a}\n")},
        ["hookd.yaml:3:16 [profile_cycle] the profile `a` builds on itself: a -> b -> a"],
    ),
    (
        "an id in two files",
        {
            "hookd.yaml": ("version: 1\ninclude: ['*.d/*.yaml']\n"),
            "w.d/a.yaml": ("webhooks:\n  crm: {url: 'https://a.example/', events: ['*']}\n"),
            "w.d/b.yaml": ("webhooks:\n  crm: {url: 'https://b.example/', events: ['*']}\n"),
        },
        ["w.d/b.yaml:2:3 [duplicate_id] the webhook `crm` stands in two places (w.d/a.yaml:2:3)"],
    ),
    (
        "a network that is none",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    allow_networks: [10.1.0.0/16, intranet]\n"
            )
        },
        ["hookd.yaml:6:35 [bad_network] this is not a network like 10.1.0.0/16"],
    ),
    (
        "an address that is no network",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    allow_networks: [10.1.2.3/16]\n"
            )
        },
        ["hookd.yaml:6:22 [bad_network] an address inside a network is not the network -> 10.1.0.0/16"],
    ),
    (
        "two references in one",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    auth: {bearer: {file: a, env: B}}\n"
            )
        },
        ["hookd.yaml:6:20 [exactly_one] auth.bearer must name exactly one of `credential`, `file` and `env`"],
    ),
    (
        "two kinds of auth",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    auth: {bearer: a, basic: {username: u, password: p}}\n"
            )
        },
        ["hookd.yaml:6:11 [exactly_one] `auth` takes either `bearer` or `basic`"],
    ),
    (
        "a signing secret that is none",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    sign: {secrets: [hunter2]}\n"
            )
        },
        ["hookd.yaml:6:22 [bad_secret] a signing secret begins with `whsec_`"],
    ),
    (
        "a header that hookd sets",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    headers: {Content-Length: '5'}\n"
            )
        },
        ["hookd.yaml:6:15 [bad_header] the header content-length is set by hookd itself"],
    ),
    (
        "a move to nowhere",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "moved: [{from: old, to: crmm}]\n"
            )
        },
        ["hookd.yaml:6:25 [bad_move] there is no webhook `crmm` -> crm"],
    ),
    (
        "tokens none on a public address",
        {"hookd.yaml": ("version: 1\ndaemon:\n  inlets:\n    - {http: '0.0.0.0:8480', tokens: none}\n")},
        [
            (
                "hookd.yaml:4:38 [bad_value] `tokens: none` is for loopback addresses only: anyone who "
                "reaches this one could send events"
            )
        ],
    ),
    (
        "a 2xx that is permanent",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    retry: {permanent: [400, 204]}\n"
            )
        },
        ["hookd.yaml:6:30 [bad_value] a 2xx status is a success and cannot be a permanent failure"],
    ),
    (
        "a test event with an unknown attribute",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    test_event: {type: user.updated, tennant: acme}\n"
            )
        },
        ["hookd.yaml:6:38 [unknown_key] test_event has no key `tennant` -> tenant"],
    ),
    (
        "a test without its expectation",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    tests:\n"
                "      - {event: {type: user.updated}}\n"
            )
        },
        ["hookd.yaml:7:9 [missing_key] tests[0] lacks `expect`"],
    ),
    (
        "a certificate without its key's",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    tls: {key: me.pem}\n"
            )
        },
        ["hookd.yaml:6:10 [missing_key] a `key` needs the `certificate` that it belongs to"],
    ),
    (
        "no space behind a colon",
        {
            "hookd.yaml": (
                "version: 1\nwebhooks:\n  crm:\n    url:https://crm.example.com/\n    events: [user.updated]\n"
            )
        },
        [
            "hookd.yaml:4:8 [yaml_syntax] behind this `:` belongs a space",
        ],
    ),
    (
        "a key that is indented too far",
        {
            "hookd.yaml": (
                "version: 1\nwebhooks:\n  crm:\n    url: https://crm.example.com/\n      events: [user.updated]\n"
            )
        },
        [
            (
                "hookd.yaml:5:7 [yaml_syntax] this is indented further than `url` above, which has its"
                " value already: give both the same indentation"
            ),
        ],
    ),
    (
        "quotes that other ones close",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                '    name: "The CRM\n'
                "    url: https://crm.example.com/\n"
                '    events: ["*"]\n'
            )
        },
        [
            (
                "hookd.yaml:4:11 [yaml_syntax] the quotes that open here are closed in line 6 only; their"
                " end is probably missing here (hookd.yaml:6:14)"
            ),
        ],
    ),
    (
        "an apostrophe in single quotes",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    name: 'It's ours'\n"
            )
        },
        [
            (
                "hookd.yaml:6:15 [yaml_syntax] the quotes end before this; within single quotes an"
                " apostrophe is written twice: ''"
            ),
        ],
    ),
    (
        "an equals sign",
        {"hookd.yaml": ("version = 1\nwebhooks: {}\n")},
        [
            "hookd.yaml:1:1 [yaml_syntax] this is no key with its value; they are written `key: value`",
        ],
    ),
    (
        "a comment with slashes",
        {"hookd.yaml": ("version: 1\n// the webhooks\nwebhooks: {}\n")},
        [
            "hookd.yaml:2:1 [yaml_syntax] this is no comment: a comment begins with `#`",
        ],
    ),
    (
        "a no-break space in a key",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    timeout\xa0: 5s\n"
            )
        },
        [
            (
                "hookd.yaml:6:12 [hidden_character] a no-break space (U+00A0) stands in this key: type the"
                " key anew, or put it in quotes if that is meant"
            ),
        ],
    ),
    (
        "no-break spaces as indentation",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "\xa0\xa0\xa0\xa0timeout: 5s\n"
            )
        },
        [
            "hookd.yaml:6:1 [hidden_character] YAML is indented with spaces; a no-break space (U+00A0) stands here",
        ],
    ),
    (
        "a zero-width space in a value",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    timeout: 5s\u200b\n"
            )
        },
        [
            (
                "hookd.yaml:6:14 [bad_value] timeout must be a duration like 10s, 5m or 72h, above zero; a"
                " zero width space (U+200B) stands in it"
            ),
        ],
    ),
    (
        "quotation marks of a word processor",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    timeout: \u201c5s\u201d\n"
            )
        },
        [
            (
                "hookd.yaml:6:14 [bad_value] timeout must be a duration like 10s, 5m or 72h, above zero; \u201c"
                " (U+201C) is no quotation mark to YAML"
            ),
        ],
    ),
    (
        "a merge of a list",
        {
            "hookd.yaml": (
                "version: 1\n"
                "x-base: &base [a]\n"
                "webhooks:\n"
                "  crm:\n"
                "    <<: *base\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
            )
        },
        [
            "hookd.yaml:5:5 [bad_merge] `<<` takes a mapping or a list of mappings (hookd.yaml:2:16)",
        ],
    ),
    (
        "a variable of the environment",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    timeout: ${TIMEOUT:-5s}\n"
            )
        },
        [
            (
                "hookd.yaml:6:14 [bad_value] timeout must be a duration like 10s, 5m or 72h, above zero;"
                " there is no ${\u2026} here, a value stands in the file as it is"
            ),
        ],
    ),
    (
        "a key of another program",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    auth: {token: {file: t}}\n"
            )
        },
        [
            "hookd.yaml:6:12 [unknown_key] auth has no key `token` -> bearer",
        ],
    ),
    (
        "a key without its value",
        {"hookd.yaml": ("version: 1\nwebhooks:\n  crm:\n    url:\n    events: [user.updated]\n")},
        [
            "hookd.yaml:4:5 [missing_key] the webhook `crm` needs `url`; nothing stands behind it",
        ],
    ),
    (
        "an operator of another language",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    filter: {data.amount: {'>=': 5}}\n"
            )
        },
        [
            "hookd.yaml:6:28 [bad_filter] unknown operator `>=`; did you mean `gte`?",
        ],
    ),
    (
        "a template of another program, without quotes",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    body: {template: {id: {{ data.id }}}}\n"
            )
        },
        [
            (
                "hookd.yaml:6:28 [key_not_text] a text that begins with `{` must be in quotes; a template"
                " is written $(data.id)"
            ),
        ],
    ),
    (
        "a function in a template",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [user.updated]\n"
                "    body:\n"
                '      template: {id: "no. $(id), $(data.name | upper)"}\n'
            )
        },
        [
            (
                "hookd.yaml:7:34 [bad_template] `data.name | upper`: a path has no spaces, functions or"
                " defaults in it; `?` at its end says that it may be missing"
            ),
        ],
    ),
    (
        "a repository without its directory",
        {"hookd.yaml": ("version: 1\nmanaged_git: true\n")},
        [
            (
                "hookd.yaml:2:14 [missing_key] `managed_git` commits what is written to `managed_dir`, and"
                " there is no `managed_dir`"
            ),
        ],
    ),
    (
        "quotation marks of a text processor around event types",
        {
            "hookd.yaml": (
                "version: 1\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [\u201cuser.updated\u201d, {event: \u2018user.*\u2019}, user.gone\u201d]\n"
            )
        },
        [
            (
                "hookd.yaml:5:14 [unknown_event_type] no event type matches `\u201cuser.updated\u201d`; \u201c (U+201C)"
                " is no quotation mark to YAML -> user.updated"
            ),
            (
                "hookd.yaml:5:38 [bad_value] events[1].event must be an event type, exact or with `*` at the end;"
                " \u2018 (U+2018) is no quotation mark to YAML"
            ),
            (
                "hookd.yaml:5:49 [unknown_event_type] no event type matches `user.gone\u201d`; \u201d (U+201D)"
                " is no quotation mark to YAML -> user.gone"
            ),
        ],
    ),
    (
        "quotation marks of a text processor, with a catalogue",
        {
            "hookd.yaml": (
                "version: 1\n"
                "event_types: {user.updated: {}, \u00abodd\u00bb: {}}\n"
                "webhooks:\n"
                "  crm:\n"
                "    url: https://crm.example.com/\n"
                "    events: [\u201cuser.updatd\u201d, \u00abodd\u00bb, \u00abodd*]\n"
            )
        },
        [
            (
                "hookd.yaml:6:14 [unknown_event_type] no event type matches `\u201cuser.updatd\u201d`; \u201c (U+201C)"
                " is no quotation mark to YAML -> user.updated"
            ),
        ],
    ),
    (
        "two doors at one address",
        {
            "hookd.yaml": (
                "version: 1\n"
                "daemon:\n"
                "  inlets: [{http: '127.0.0.1:8480', tokens: none}]\n"
                "  metrics: {http: '127.0.0.1:8480'}\n"
            )
        },
        [
            "hookd.yaml:4:19 [duplicate_id] `daemon.inlets[0].http` has the same address (hookd.yaml:3:19)",
        ],
    ),
]


def write(top: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))


def tell(problem: Problem, top: Path) -> str:
    told = f"{problem.place} [{problem.code}] {problem.message}"
    told += f" -> {problem.hint}" if problem.hint else ""
    told += f" ({problem.also})" if problem.also else ""
    return told.replace(f"{top}/", "")


@pytest.mark.parametrize(("files", "expected"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_told_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: list[str]
) -> None:
    write(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigInvalid) as caught:
        load_config(Path("hookd.yaml"))
    assert [tell(problem, tmp_path) for problem in caught.value.problems] == expected
    shown = render_problems(caught.value.problems, caught.value.sources)
    assert shown.count("^\n") >= len(expected)  # each with its source line


def test_there_are_more_than_forty_kinds_and_most_codes_are_among_them() -> None:
    assert len(MISTAKES) >= 40
    codes = {code for code in CODES if any(f"[{code}]" in line for _, _, lines in MISTAKES for line in lines)}
    assert len(codes) >= 28
    assert len({case[0] for case in MISTAKES}) == len(MISTAKES)


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not YAML hides nothing that is certain, and what it may hold itself is not missed."""
    files = {
        "hookd.yaml": "version: 1\ninclude: ['*.d/*.yaml']\nevent_types: {user.updated: {schema: gone.json}}\n",
        "w.d/a.yaml": "profiles:\n  shared: {timeout: 5s\n",
        "w.d/b.yaml": (
            "webhooks:\n"
            "  one: {profile: shared, events: [user.updated]}\n"  # its url may stand in the profile
            "  two: {profile: shared, url: ftp://x.example/, events: [other.type], auth: {basic: {username: u}}}\n"
            "  three: {url: 'https://x.example/', events: [user.updated], timeout: 5}\n"
            "  four: {events: [user.updated], body: {template: {a: $(secrets.t)}}}\n"
        ),
        "w.d/c.yaml": "webhooks:\n  three: {url: 'https://x.example/', events: ['*']}\n",
    }
    write(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigInvalid) as caught:
        load_config(Path("hookd.yaml"))
    assert [tell(problem, tmp_path) for problem in caught.value.problems] == [
        "w.d/a.yaml:2:11 [yaml_syntax] this `{` is never closed, or a comma or quotes are missing in it",
        "w.d/b.yaml:3:31 [bad_url] the URL must begin with http:// or https://",
        "w.d/b.yaml:4:71 [wrong_type] timeout must be a duration like 10s, 5m or 72h, above zero -> 5s",
        "w.d/b.yaml:5:3 [missing_key] the webhook `four` needs `url`",
        "w.d/b.yaml:5:55 [undeclared_secret] there is no `t` in `secrets`",  # a file beside it cannot declare one
        "w.d/c.yaml:2:3 [duplicate_id] the webhook `three` stands in two places (w.d/b.yaml:4:3)",
        "hookd.yaml:3:38 [missing_file] there is no file at gone.json",
    ]


@pytest.mark.parametrize(
    "main",
    [
        "version: 1\ninclude:\n- '*.d/*.yaml'\ndefaults: {timeout: 5s\n",
        "version: 1\ninclude: ['*.d/*.yaml']\nwebhooks:\n\tcrm: {}\n",
        "version: 1\ninclude: ['*.d/*.yaml', gone.yaml]\n",
    ],
)
def test_a_main_file_that_cannot_be_used_hides_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, main: str
) -> None:
    two = "webhooks:\n  one: {events: ['*'], timout: 5s}\n  two: {url: ftp://x.example/, profile: p, events: ['*']}\n"
    write(tmp_path, {"hookd.yaml": main, "w.d/a.yaml": two, "w.d/b.yaml": "webhooks: {two: {}}\n"})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigInvalid) as caught:
        load_config(Path("hookd.yaml"))
    first, *others = [tell(problem, tmp_path) for problem in caught.value.problems]
    assert first.startswith("hookd.yaml:")
    assert [told for told in others if "missing_key" not in told] == [
        "w.d/a.yaml:2:24 [unknown_key] webhook `one` has no key `timout` -> timeout",
        "w.d/a.yaml:3:14 [bad_url] the URL must begin with http:// or https://",
        "w.d/b.yaml:1:12 [duplicate_id] the webhook `two` stands in two places (w.d/a.yaml:3:3)",
    ]


FLAWED_MAIN = """\
version: 1
include: ['*.d/*.yaml']
defaults: {timeout: 5}
webhooks:
  4711: {url: 'https://a.example/', events: ['*']}
  true: {}
  a: {url: ftp://x.example/, events: ['*'], timout: 5s}
  b:
    url: {{ data.url }}
    events: ['*']
    retry: {schedule: [1s], schedule: [2s], jiter: 1}
  c: {profile: '4711', url: 'https://a.example/', events: ['*']}
  d: {events: ['*']}
moved:
  - {from: z, to: '4711'}
"""
FLAWED_INCLUDED = """\
webhooks:
  e: {events: ['*']}
  e: {url: 'https://a.example/', events: ['*']}
  f: {url: !!str https://a.example/, name: !x 5, events: ['*'], tests: 7}
  g: {url: ftp://x.example/, events: ['*']}
  h: {events: ['*']}
"""
IN_MAIN = [
    "hookd.yaml:3:21 [wrong_type]",
    "hookd.yaml:5:3 [key_not_text]",
    "hookd.yaml:6:3 [key_not_text]",
    "hookd.yaml:7:12 [bad_url]",
    "hookd.yaml:7:45 [unknown_key]",
    "hookd.yaml:9:11 [key_not_text]",
    "hookd.yaml:11:29 [duplicate_key]",
    "hookd.yaml:11:45 [unknown_key]",
    "hookd.yaml:12:16 [unknown_profile]",
    "hookd.yaml:13:3 [missing_key]",
]
IN_INCLUDED = [
    "w.d/b.yaml:3:3 [duplicate_key]",
    "w.d/b.yaml:4:12 [tag]",
    "w.d/b.yaml:4:44 [tag]",
    "w.d/b.yaml:4:72 [wrong_type]",
    "w.d/b.yaml:5:12 [bad_url]",
    "w.d/b.yaml:6:3 [missing_key]",
]


def places_told(top: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Load such a config, and give the place and the code of each problem."""
    write(top, files)
    monkeypatch.chdir(top)
    with pytest.raises(ConfigInvalid) as caught:
        load_config(Path("hookd.yaml"))
    return [tell(problem, top).split("]")[0] + "]" for problem in caught.value.problems]


def test_a_key_that_is_no_text_a_second_one_and_a_tag_hide_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the check and the build find in the same file is told as well, and nothing that only follows from it."""
    files = {"hookd.yaml": FLAWED_MAIN, "w.d/b.yaml": FLAWED_INCLUDED}
    assert places_told(tmp_path, files, monkeypatch) == [*IN_MAIN, *IN_INCLUDED]


def test_neither_do_they_in_an_included_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"hookd.yaml": "version: 1\ninclude: ['*.d/*.yaml']\n", "w.d/b.yaml": FLAWED_INCLUDED}
    assert places_told(tmp_path, files, monkeypatch) == IN_INCLUDED


@pytest.mark.parametrize(
    "base",
    [
        "profiles: {p: {}}\ndefaults: {timeout: 5s}\ndefaults: {url: 'https://a.example/'}\n",
        "profiles:\n  p: {timeout: 5s}\n  p: {url: 'https://a.example/'}\n",
        "profiles: {q: {timeout: 5s}}\nprofiles: {p: {url: 'https://a.example/'}}\n",
    ],
)
def test_what_the_second_of_two_keys_may_bring_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    webhooks = "webhooks:\n  one: {profile: p, events: ['*']}\n  two: {profile: p, events: ['*'], timout: 5s}\n"
    told = places_told(tmp_path, {"hookd.yaml": f"version: 1\n{base}{webhooks}"}, monkeypatch)
    assert [each.split()[1] for each in told] == ["[duplicate_key]", "[unknown_key]"]
