"""The proxy that the environment names for an address, if any: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`."""

from __future__ import annotations

import ipaddress
import os
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from stackbench.errors import ModelNotAvailableError

__all__ = ["is_loopback", "proxy_arguments", "proxy_for"]


def proxy_for(url: str) -> str | None:
    """The proxy's address for a URL; None for a direct connection, which this machine's own addresses always have."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    at = f"[{host}]" if ":" in host else host
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if urllib.request.proxy_bypass(at) or urllib.request.proxy_bypass(f"{at}:{port}") or _is_in_excepted_network(host):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found:
        return None
    return found if "://" in found else f"http://{found}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _is_in_excepted_network(host: str) -> bool:
    """`no_proxy` may name networks, such as 10.0.0.0/8; Python's own reading of it knows names only."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for part in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(","):
        try:
            if "/" in part and address in ipaddress.ip_network(part.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def proxy_arguments(url: str) -> tuple[dict[str, Any], dict[str, str]]:
    """How aiohttp is told of the environment's proxy: arguments and headers of each request.

    Raises:
        ModelNotAvailableError: it is of a kind that cannot be used.
    """
    import aiohttp
    from yarl import URL

    found = proxy_for(url)
    if found is None:
        return {}, {}
    try:
        proxy = URL(found)
    except ValueError:
        proxy = URL()
    if proxy.scheme not in ("http", "https") or not proxy.host:
        kind = found.partition("://")[0]
        raise ModelNotAvailableError(
            f"the environment's proxy is {kind}://...; endpoints are reached through http:// ones"
        )
    if not proxy.user:
        return {"proxy": proxy}, {}
    password = {"Proxy-Authorization": aiohttp.encode_basic_auth(proxy.user, proxy.password or "")}
    if urlsplit(url).scheme == "http":  # the proxy reads the request itself
        return {"proxy": proxy.with_user(None)}, password
    return {"proxy": proxy.with_user(None), "proxy_headers": password}, {}
