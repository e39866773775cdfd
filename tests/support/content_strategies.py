"""Hypothesis strategies for MCP content blocks, valid and malformed.

The tests of tool results and of prompts and resources check that the Messages API accepts what these become.
"""

from __future__ import annotations

import base64

from hypothesis import strategies as st

from tests.support.pictures import gif, jpeg, pdf, png, webp

texts = st.text(max_size=20) | st.just(" ")

data = st.binary(max_size=9).map(lambda raw: base64.b64encode(raw).decode()) | st.sampled_from(
    ["", "not base64!", "a", png(), jpeg(), gif(9000, 1), webp(), pdf(), png()[:20], f"data:image/png;base64,{png()}"]
)

mimes = st.sampled_from(
    [
        "image/png",
        "image/svg+xml",
        "application/pdf",
        "text/plain",
        "audio/wav",
        "x/y",
        "application/json",
        "image/JPG",
        "",
    ]
)

resources = st.fixed_dictionaries({"uri": texts}, optional={"mimeType": mimes}).flatmap(
    lambda one: st.builds(lambda key, value: one | {key: value}, st.sampled_from(["text", "blob"]), texts | data)
)

blocks = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, texts),
    st.builds(lambda kind, value, mime: {"type": kind, "data": value, "mimeType": mime},
              st.sampled_from(["image", "audio"]), data, mimes),
    st.builds(lambda uri, name: {"type": "resource_link", "uri": uri, "name": name}, texts, texts),
    st.builds(lambda resource: {"type": "resource", "resource": resource}, resources),
    st.just({"type": "hologram"}),
)  # fmt: skip
