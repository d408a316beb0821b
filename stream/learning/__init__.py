"""Online models: score now, learn when the label is known. Only this package imports River."""
