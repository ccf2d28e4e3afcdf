"""Measurements. Each module here whose name starts neither with `_` nor with `test_` has one function `measure` and
says
how its figures compare.

`measure(step)` runs once and returns figures by name; it calls `step(label)` before each part that takes a while.
`PARTS` is how many such calls there are, `RATIOS` lists (label, figure, baseline). `hottest`, where there is one,
returns where the time goes. `SAME_EACH_ROUND`: one round is enough.
"""
