"""The sandbox's admin API, one module for each part of the sandbox that it controls."""
