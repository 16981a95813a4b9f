"""What a lane does with a batch, on ports: no Kafka, Redis, Faust or wall clock in here."""
