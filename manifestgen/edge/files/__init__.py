"""Unpacks an image on this machine: its application's files, and the program to run."""
