"""Every failpoint of the lane's protocol with every action, on real workers, Kafka and Redis: `make failpoints`."""
