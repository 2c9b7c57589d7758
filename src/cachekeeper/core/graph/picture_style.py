"""How a picture of the dependency graph looks, on white and on black.

The rules begin with ``.ck`` so that they leave a page alone that the picture is put into.
"""

from __future__ import annotations

from typing import Final

HUES: Final = 8  # classes h0 to h7: namespaces take turns

STYLE: Final = """
.ck { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
.ck text { fill: #1f2328; white-space: pre }
.ck .ground { fill: #ffffff }
.ck .key { font-size: 14px; font-weight: 600 }
.ck .box { fill: #f6f8fa; stroke: #c4ccd5 }
.ck .soft { fill: #59636e }
.ck .edge { fill: none; stroke: #8c959f; stroke-width: 1.2 }
.ck .edge-tip { fill: #8c959f }
.ck .round { fill: none; stroke: #bc4c00; stroke-width: 1.5 }
.ck .round-tip, .ck .said { fill: #bc4c00 }
.ck .frame { fill: #bc4c00; fill-opacity: .06; stroke: #bc4c00; stroke-dasharray: 5 4 }
.ck .h0 { fill: #2f81f7 }
.ck .h1 { fill: #2da44e }
.ck .h2 { fill: #bf8700 }
.ck .h3 { fill: #a371f7 }
.ck .h4 { fill: #db61a2 }
.ck .h5 { fill: #1b9aaa }
.ck .h6 { fill: #e5534b }
.ck .h7 { fill: #7d8590 }
.ck .pill { fill: #eaeef2; stroke: #c4ccd5 }
.ck .number { fill: #59636e; font-size: 9.5px; text-anchor: middle }
.ck .centre .box { fill: #0969da; stroke: #0550ae; stroke-width: 2 }
.ck .centre .hue { fill: #ffffff }
.ck .centre .name, .ck .centre .name .soft { fill: #ffffff; font-weight: 600 }
@media (prefers-color-scheme: dark) {
.ck text { fill: #e6edf3 }
.ck .ground { fill: #0d1117 }
.ck .box { fill: #161b22; stroke: #3d444d }
.ck .soft { fill: #9198a1 }
.ck .edge { stroke: #6e7681 }
.ck .edge-tip { fill: #6e7681 }
.ck .round { stroke: #f0883e }
.ck .round-tip, .ck .said { fill: #f0883e }
.ck .frame { fill: #f0883e; stroke: #f0883e }
.ck .pill { fill: #212830; stroke: #3d444d }
.ck .number { fill: #9198a1 }
.ck .centre .box { fill: #1f6feb; stroke: #79b8ff }
}
"""
