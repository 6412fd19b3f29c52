"""Code that at least two functions share. It never imports the package of a function."""
