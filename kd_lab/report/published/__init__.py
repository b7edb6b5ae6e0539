"""Ours beside a published table's figures."""
