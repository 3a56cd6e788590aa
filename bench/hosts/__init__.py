"""Programs that make video of prompts, one a file: how each is started, told, timed in parts, and given a decoder."""

from bench.hosts.base import HOSTS, Host, Setup

__all__ = ["HOSTS", "Host", "Setup"]
