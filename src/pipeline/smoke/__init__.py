"""`pipeline smoke`: a deployment of its own is made, tried, destroyed, and looked for.

What the embedded AWS does not do is tried on AWS alone; a check says itself why it is left out elsewhere.
"""
