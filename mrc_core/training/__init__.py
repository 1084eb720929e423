"""Training: targets, losses, trainer, schedule, checkpoints."""
