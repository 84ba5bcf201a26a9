"""One model's life: its settings, training, folder and card; loading, evaluating and using it again."""
