"""The browser of a person who agrees to everything: it follows a URL to wherever that leads."""

import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1], timeout=30) as page:
    page.read()
