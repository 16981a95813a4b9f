"""The Faust application: transport, agent and lanes in one process; the only place that imports faust."""
