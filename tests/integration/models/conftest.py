"""Fixtures for the tests of models."""

from tests.support.http_transports import each_transport

__all__ = ["each_transport"]
