package interop

import (
	"testing"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/utils"
)

// Policies forbid what was allowed, at once, and allow it again when they are gone.
func adminRules(t *testing.T, s *adminScript) {
	n, topics, namespace := s.Namespaces(), s.Topics(), s.newNamespace(t)
	topic, spare := topicOf(t, namespace, "t"), topicOf(t, namespace, "spare")
	check(t, topics.Create(topic, 0))
	check(t, s.Schemas().CreateSchemaByPayload(topic.String(), utils.PostSchemaPayload{SchemaType: "STRING"}))
	client := newClient(t)
	newProducer(t, client, pulsar.ProducerOptions{Topic: topic.String(), Schema: pulsar.NewStringSchema(nil)})
	newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic.String(), Type: pulsar.Shared})

	produce := func(topic utils.TopicName, schema pulsar.Schema) error {
		producer, err := client.CreateProducer(pulsar.ProducerOptions{Topic: topic.String(), Schema: schema})
		if err == nil {
			producer.Close()
		}
		return err
	}
	consume := func(subscription string) error {
		consumer, err := client.Subscribe(pulsar.ConsumerOptions{
			Topic: topic.String(), SubscriptionName: subscription, Type: pulsar.Shared,
		})
		if err == nil {
			consumer.Close()
		}
		return err
	}
	afterwards := func(err error, undo func() error) error {
		if err == nil {
			check(t, undo())
		}
		return err
	}
	removeSpare := func() error { return topics.Delete(spare, true, true) }
	secondProducer := func() error { return produce(topic, pulsar.NewStringSchema(nil)) }
	withoutSchema := func() error { return produce(topic, nil) }
	secondConsumer := func() error { return consume("s") }
	anotherSubscription := func() error {
		return afterwards(consume("other"), func() error { return s.Subscriptions().Delete(topic, "other") })
	}
	topicByUse := func() error { return afterwards(produce(spare, nil), removeSpare) }
	anotherTopic := func() error { return afterwards(topics.Create(spare, 0), removeSpare) }

	one := func(set func(utils.NameSpaceName, int) error) error { return set(namespace, 1) }
	oneOf := func(set func(utils.TopicName, int) error) error { return set(topic, 1) }
	rules := []struct {
		name        string
		set, remove func() error
		forbidden   func() error
	}{
		{"producers of the namespace's topics", func() error { return one(n.SetMaxProducersPerTopic) },
			func() error { return n.RemoveMaxProducersPerTopic(namespace) }, secondProducer},
		{"producers", func() error { return oneOf(topics.SetMaxProducers) },
			func() error { return topics.RemoveMaxProducers(topic) }, secondProducer},
		{"consumers of the namespace's topics", func() error { return one(n.SetMaxConsumersPerTopic) },
			func() error { return n.RemoveMaxConsumersPerTopic(namespace) }, secondConsumer},
		{"consumers", func() error { return oneOf(topics.SetMaxConsumers) },
			func() error { return topics.RemoveMaxConsumers(topic) }, secondConsumer},
		{"consumers of the namespace's subscriptions", func() error { return one(n.SetMaxConsumersPerSubscription) },
			func() error { return n.RemoveMaxConsumersPerSubscription(namespace) }, secondConsumer},
		{"consumers of a subscription", func() error { return oneOf(topics.SetMaxConsumersPerSubscription) },
			func() error { return topics.RemoveMaxConsumersPerSubscription(topic) }, secondConsumer},
		{"subscriptions", func() error { return oneOf(topics.SetMaxSubscriptionsPerTopic) },
			func() error { return topics.RemoveMaxSubscriptionsPerTopic(topic) }, anotherSubscription},
		{"subscriptions by use", func() error {
			return topics.SetAutoSubscriptionCreation(topic, *utils.NewAutoSubscriptionCreationOverride())
		}, func() error { return topics.RemoveAutoSubscriptionCreation(topic) }, anotherSubscription},
		{"topics", func() error { return one(n.SetMaxTopicsPerNamespace) },
			func() error { return n.RemoveMaxTopicsPerNamespace(namespace) }, anotherTopic},
		{"topics by use", func() error {
			return n.SetTopicAutoCreation(namespace, utils.TopicAutoCreationConfig{Type: utils.NonPartitioned})
		}, func() error { return n.RemoveTopicAutoCreation(namespace) }, topicByUse},
		{"schemas of the namespace's topics", func() error { return n.SetSchemaValidationEnforced(namespace, true) },
			func() error { return n.SetSchemaValidationEnforced(namespace, false) }, withoutSchema},
		{"schemas", func() error { return topics.SetSchemaValidationEnforced(topic, true) },
			func() error { return topics.RemoveSchemaValidationEnforced(topic) }, withoutSchema},
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			check(t, rule.forbidden())
			check(t, rule.set())
			waitFor(t, "refusal", func() bool { return rule.forbidden() != nil })
			check(t, rule.remove())
			waitFor(t, "what is allowed again", func() bool { return rule.forbidden() == nil })
		})
	}
}
