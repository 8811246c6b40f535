"""L1 pretraining and adversarial training: two methods, one loop."""

from .loop import (
    SCHEDULES,
    AdversarialOptions,
    L1Options,
    RunOptions,
    fit,
    one_cycle,
    pretrain,
    renew_norms,
    train_adversarial,
)
from .methods import (
    METHODS,
    RECIPES,
    AdversarialTraining,
    L1Pretraining,
    Loss,
    batch_norms,
    check_size,
    options_of,
    parameter_groups,
    without,
)

__all__ = [
    "AdversarialOptions",
    "AdversarialTraining",
    "L1Options",
    "L1Pretraining",
    "Loss",
    "METHODS",
    "RECIPES",
    "RunOptions",
    "SCHEDULES",
    "batch_norms",
    "check_size",
    "fit",
    "one_cycle",
    "options_of",
    "parameter_groups",
    "pretrain",
    "renew_norms",
    "train_adversarial",
    "without",
]
