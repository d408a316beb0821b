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

# cartwake edge: tells what it is told over HTTP, and brings triggers to the page, in no group.
allow edge --operation Write \
    --topic consent-events --topic cart-events --topic page-views --topic message-feedback
allow edge --operation Read --topic triggers --topic trigger-cancels

# Whoever acts on triggers: reads what has been done already, tells what it does, and asks how far the
# inputs reach without reading them.
for sender in emailer webhooks; do
    allow "$sender" --operation Read \
        --topic triggers --topic trigger-cancels --topic message-feedback
    allow "$sender" --operation Write --topic message-feedback
    allow "$sender" --operation Describe \
        --topic consent-events --topic cart-events --topic page-views
done
# The one is a consumer group of that name, the other one for each endpoint: webhooks.crm, webhooks.sms.
allow emailer --operation Read --group emailer
allow webhooks --operation Read --resource-pattern-type prefixed --group webhooks.

# KEDA, which scales the workers: how far the group is, and where the log ends.
allow autoscaler --operation Describe --group "$group" \
    --topic consent-events --topic cart-events --topic page-views

# People who run it: cartwake topics create and check, cartwake dead-letters list and replay,
# cartwake doctor and status, which see who has which shard and join nothing.
allow cartwake-operator --operation Describe --group "$group"
allow cartwake-operator --operation Create --operation Describe --operation DescribeConfigs \
    --operation Alter --operation AlterConfigs \
    --topic consent-events --topic cart-events --topic page-views \
    --topic triggers --topic decisions --topic trigger-cancels --topic dead-letters \
    --topic training-examples --topic message-feedback
allow cartwake-operator --operation Read --topic dead-letters
allow cartwake-operator --operation Write \
    --topic consent-events --topic cart-events --topic page-views
