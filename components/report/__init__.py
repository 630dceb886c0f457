"""One self-contained HTML page about a run: the verdict, the evidence and how to repeat it.

`page.render` (data in, HTML out) is the core; `component.Report` is the pipeline's step around it.
"""
