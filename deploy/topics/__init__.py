"""What deployments say of topics: Kafka's permissions and Strimzi's resources, from one table."""
