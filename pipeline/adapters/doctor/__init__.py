"""What `journey doctor` looks at. Each part asks, changes nothing, and answers with findings."""
