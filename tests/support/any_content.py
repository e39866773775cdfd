"""Hypothesis strategies for tool results with arbitrary content, for tests of the requests sent to the Messages API.

Text includes lone surrogates. Images and documents may be oversized, truncated, or not base64.
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.pictures import encoded, gif, jpeg, pdf, png, webp

anything = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=6) | st.sampled_from(
    ["", " ", "\n", "a\ud800"]
)
data = st.sampled_from(
    [
        png(),
        jpeg(),
        gif(),
        webp(),
        pdf(),
        png(9000, 1),
        png(3000, 3000),
        png()[:12],
        "",
        "?",
        f"data:image/png;base64,{png()}",
        encoded(b"<svg/>"),
    ]
)
mimes = st.sampled_from(["image/png", "image/jpg", "IMAGE/JPEG", "image/svg+xml", "application/pdf", "", "x/y"])
server_content = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, anything),
    st.builds(lambda one, mime: {"type": "image", "data": one, "mimeType": mime}, data, mimes),
    st.builds(lambda one: {"type": "audio", "data": one, "mimeType": "audio/wav"}, data),
    st.builds(
        lambda uri, one, mime: {"type": "resource", "resource": {"uri": uri, "blob": one, "mimeType": mime}},
        anything,
        data,
        mimes,
    ),
    st.builds(lambda uri, text: {"type": "resource", "resource": {"uri": uri, "text": text}}, anything, anything),
    st.builds(lambda uri, name: {"type": "resource_link", "uri": uri, "name": name}, anything, anything),
)
results = st.fixed_dictionaries(
    {"content": st.lists(server_content, max_size=3)},
    optional={
        "isError": st.booleans(),
        "structuredContent": st.dictionaries(anything, anything | st.floats(), max_size=2),
    },
)
