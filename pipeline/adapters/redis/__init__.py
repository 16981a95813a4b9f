"""Redis behind the ports: the only place that imports redis."""
