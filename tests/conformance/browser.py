"""A stand-in for the browser of a user who approves everything: it opens a URL and follows all redirects."""

import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1], timeout=30) as page:
    page.read()
