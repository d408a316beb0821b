#!/bin/sh
# Lets each role do its work in Kafka, and nothing else. Run it once, as a user who may alter the
# cluster; brokers need an authorizer, and allow.everyone.if.no.acl.found left at false.
#
#   deploy/kafka-acls.sh --bootstrap-server kafka:9092 --command-config admin.properties
#
# KAFKA_ACLS names Kafka's tool where it is not on the path, GROUP another worker.group.
set -eu

tool=${KAFKA_ACLS:-kafka-acls.sh}
group=${GROUP:-cartwake}
cluster=$*

allow() {
    who=$1
    shift
    # shellcheck disable=SC2086  # several arguments
    "$tool" $cluster --add --allow-principal "User:$who" "$@"
}

# The processor: reads and learns, and publishes what it has decided. It makes no topic.
allow cartwake-worker --operation Read --group "$group" \
    --topic consent-events --topic cart-events --topic page-views --topic training-examples
allow cartwake-worker --operation Write \
    --topic triggers --topic decisions --topic trigger-cancels --topic dead-letters \
    --topic training-examples

# The shop's producers: tell, and read nothing.
allow storefront --operation Write \
    --topic consent-events --topic cart-events --topic page-views

# Whoever acts on triggers, with a consumer group of that name.
allow emailer --operation Read --group emailer --topic triggers --topic trigger-cancels

# People who run it: cartwake topics create and check, cartwake dead-letters list and replay.
allow cartwake-operator --operation Create --operation Describe --operation DescribeConfigs \
    --operation Alter --operation AlterConfigs \
    --topic consent-events --topic cart-events --topic page-views \
    --topic triggers --topic decisions --topic trigger-cancels --topic dead-letters \
    --topic training-examples
allow cartwake-operator --operation Read --topic dead-letters
allow cartwake-operator --operation Write \
    --topic consent-events --topic cart-events --topic page-views
