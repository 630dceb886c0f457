"""How images may be laid out, a file a layout: each lists what is there, and fingerprints it."""
