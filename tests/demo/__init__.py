"""Tests of what runs, feeds and shows the demo."""
