"""One self-contained HTML page about a run: the verdict, the evidence and how to reproduce it.

`page.render` (data in, HTML out) is the core; `component.Report` is the pipeline step that calls it.
"""
