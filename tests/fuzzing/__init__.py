"""Random graphs and structural changes of files for the native library, judged by the reference backend."""
