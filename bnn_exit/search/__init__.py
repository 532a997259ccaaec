"""A search for networks under a budget: the space, the cost before training, weak trials, the study and its page."""
