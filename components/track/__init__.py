"""Writes what a run did to an experiment tracker."""
