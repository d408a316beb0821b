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

# Written by `make topics` from stream/domain/topics.py, down to the line END.
# The processor: reads its shards and learns. It makes no topic.
allow cartwake-worker --operation Read --topic consent-events --topic visitor-facts \
    --topic message-feedback --topic cart-events --topic page-views --topic training-examples
allow cartwake-worker --operation Write --topic visitor-facts --topic triggers --topic decisions \
    --topic trigger-cancels --topic dead-letters --topic training-examples
# The shop's producers: they write and read nothing.
allow storefront --operation Write --topic consent-events --topic cart-events --topic page-views
# cartwake edge: writes what it gets over HTTP, reads triggers in no group.
allow edge --operation Read --topic triggers --topic trigger-cancels
allow edge --operation Write --topic consent-events --topic message-feedback --topic cart-events \
    --topic page-views
# Acts on triggers, and asks how far the lanes reach.
allow emailer --operation Read --topic consent-events --topic message-feedback --topic triggers \
    --topic trigger-cancels
allow emailer --operation Write --topic message-feedback
allow emailer --operation Describe --topic consent-events --topic visitor-facts \
    --topic message-feedback --topic cart-events --topic page-views
# Acts on triggers, and asks how far the lanes reach.
allow webhooks --operation Read --topic message-feedback --topic triggers --topic trigger-cancels
allow webhooks --operation Write --topic message-feedback
allow webhooks --operation Describe --topic consent-events --topic visitor-facts \
    --topic message-feedback --topic cart-events --topic page-views
# People: topics, dead-letters, doctor and status.
allow cartwake-operator --operation Read --topic dead-letters
allow cartwake-operator --operation Write --topic consent-events --topic visitor-facts \
    --topic message-feedback --topic cart-events --topic page-views
allow cartwake-operator --operation Create --operation Describe --operation DescribeConfigs \
    --operation Alter --operation AlterConfigs --topic consent-events --topic visitor-facts \
    --topic message-feedback --topic cart-events --topic page-views --topic triggers \
    --topic decisions --topic trigger-cancels --topic dead-letters --topic training-examples
# KEDA, which scales the workers: how far the group is, and where the log ends.
allow autoscaler --operation Describe --topic consent-events --topic visitor-facts \
    --topic message-feedback --topic cart-events --topic page-views
# END

# Consumer groups. The e-mailer is one of that name, webhooks one for each endpoint: webhooks.crm.
allow cartwake-worker --operation Read --group "$group"
allow emailer --operation Read --group emailer
allow webhooks --operation Read --resource-pattern-type prefixed --group webhooks.
allow autoscaler --operation Describe --group "$group"
allow cartwake-operator --operation Describe --group "$group"
