"""Hides credentials in all that is written, shown or sent on; the live ones stay in the memory of this process.

A URL keeps its host and path: `https://user:password@host/path?token=x` is `https://***@host/path?token=***`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
_NAMES = (  # the end of a name whose value is a credential
    r"(?:password|passwd|passphrase|pwd|secret|secret_?key|access_?key|access_?key_?id|account_?key|api_?key"
    r"|private_?key|credentials?|(?<![a-z0-9_])token|(?:auth|access|api|hf|hub|bearer|tracking|session|databricks)_?token"
    r"|connection_?string)"
)
_QUERY = r"(?:[\w.%\[\]-]*(?:token|signature|sig|auth|odbc_connect)|key|[\w.%\[\]-]*" + _NAMES + ")"
_RULES = (
    # user and password; a password may hold an @, and one that was not encoded a slash, a question mark or a hash
    (r"([a-z][a-z0-9+.-]*://)(?:[^\s/?#'\"]*|[^\s/?#@'\":]*:(?!\d{1,5}(?:[/?#]|$))[^\s'\"]*)@", rf"\1{HIDDEN}@"),
    (rf"([?&;]{_QUERY}=)(?:[^&\s'\"#;,]|,(?![\w.@+~/]+=))*", rf"\1{HIDDEN}"),
    (rf"((?<![\w.-])[\w.+~-]*{_NAMES}=)(?!{re.escape(HIDDEN)})('[^']*'|\"[^\"]*\"|[^\s,'\"&;}}]+)", rf"\1{HIDDEN}"),
    (r"(authorization['\"]?\s*[:=]\s*['\"]?(?:(?:bearer|basic|token)\s+)?)[^\s'\"]+", rf"\1{HIDDEN}"),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in _RULES)
_NAME = re.compile(rf"(?:^|.*[._-]){_NAMES}", re.IGNORECASE)
_ENVIRONMENT = (  # where libraries that kd_lab uses look for credentials: their values are hidden wherever they stand
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "DATABRICKS_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "PGPASSWORD",
)
_SHORTEST = 8  # letters of a value in the environment that is looked for in other texts
_live: dict[str, str] = {}  # a URL without its credentials -> the URL as this process was given it


def redacted(value: Any) -> Any:
    """The same without credentials; doing it again changes nothing.

    Args:
        value: a text, or mappings and lists of them; a value under a name such as `password` is hidden whole.
    """
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {key: _under(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner) for inner in value]
    return value


def text(value: str) -> str:
    """The text without credentials: in URLs, behind names such as `password=`, and those of the environment."""
    if "=" in value or "://" in value or ":" in value:
        for pattern, instead in _PATTERNS:
            value = pattern.sub(instead, value)
    for name in _ENVIRONMENT:
        secret = os.environ.get(name, "")
        if len(secret) >= _SHORTEST:
            value = value.replace(secret, HIDDEN)
    return value


def remember(url: str) -> str:
    """Keeps the live URL in the memory of this process, for `live`.

    Returns:
        the URL without credentials.
    """
    hidden = text(url)
    if hidden != url:
        _live[hidden] = url
    return hidden


def live(url: str, *environment: str) -> str | None:
    """The URL with its credentials, or None where they are not known here.

    Args:
        url: as a result holds it; one that never had any is given back.
        environment: names of variables that may hold the same URL whole.
    """
    if HIDDEN not in url:
        return url
    given = (os.environ.get(name, "") for name in environment)
    return next((one for one in given if one and text(one) == url), _live.get(url))


def _under(key: Any, value: Any) -> Any:
    return HIDDEN if isinstance(value, str) and value and _NAME.fullmatch(str(key)) else redacted(value)
