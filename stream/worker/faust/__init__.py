"""The seams of Faust: the only room that knows Faust's internals."""
