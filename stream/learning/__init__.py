"""Online models: score now, learn when the label is known. River lives here and nowhere else."""
