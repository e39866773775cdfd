"""Reports: plain values in, text out. They read finished runs, and progress reads events; neither runs anything."""
