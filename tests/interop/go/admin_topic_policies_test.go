package interop

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/utils"
)

// Values that the policies of a topic are set to.
var (
	someRate = utils.DispatchRateData{
		DispatchThrottlingRateInMsg: 7, DispatchThrottlingRateInByte: 8, RatePeriodInSecond: 9,
	}
	somePublishRate = utils.PublishRateData{PublishThrottlingRateInMsg: 7, PublishThrottlingRateInByte: 8}
	someSubscribes  = utils.SubscribeRate{SubscribeThrottlingRatePerConsumer: 7, RatePeriodInSecond: 8}
	somePersistence = utils.PersistenceData{
		BookkeeperEnsemble: 3, BookkeeperWriteQuorum: 2, BookkeeperAckQuorum: 1, ManagedLedgerMaxMarkDeleteRate: 0.5,
	}
	// Without `MaxDelayInMillis`: Pulsar and the library have other names for it.
	someDelays    = utils.DelayedDeliveryData{TickTime: 2000, Active: true}
	someRetention = utils.RetentionPolicies{RetentionTimeInMinutes: 5, RetentionSizeInMB: 6}
	someInactive  = utils.NewInactiveTopicPolicies(pointerTo(utils.DeleteWhenSubscriptionsCaughtUp), 120, true)
	someOffload   = utils.OffloadPolicies{
		ManagedLedgerOffloadDriver: "filesystem", ManagedLedgerOffloadMaxThreads: 3,
		ManagedLedgerOffloadThresholdInBytes: 1000, ManagedLedgerOffloadDeletionLagInMillis: 2000,
	}
	noSubscriptions = utils.AutoSubscriptionCreationOverride{AllowAutoSubscriptionCreation: false}
	someStrategy    = utils.SchemaCompatibilityStrategyForwardTransitive
)

// The policies as the library's `Topics` has them.
func adminTopicPolicies(t *testing.T, s *adminScript) {
	const of = "Topics"
	p, topic := s.Topics(), s.newAdminTopic(t)
	settings := []settingCheck[utils.TopicName]{
		setting(of, "MessageTTL", "messageTTL", p.SetMessageTTL, p.GetMessageTTL, p.RemoveMessageTTL, 60),
		setting(of, "MaxProducers", "maxProducers", p.SetMaxProducers, p.GetMaxProducers, p.RemoveMaxProducers, 7),
		setting(of, "MaxConsumers", "maxConsumers", p.SetMaxConsumers, p.GetMaxConsumers, p.RemoveMaxConsumers, 7),
		setting(of, "MaxConsumersPerSubscription", "maxConsumersPerSubscription",
			p.SetMaxConsumersPerSubscription, p.GetMaxConsumersPerSubscription, p.RemoveMaxConsumersPerSubscription, 7),
		setting(of, "MaxSubscriptionsPerTopic", "maxSubscriptionsPerTopic",
			p.SetMaxSubscriptionsPerTopic, p.GetMaxSubscriptionsPerTopic, p.RemoveMaxSubscriptionsPerTopic, 7),
		setting(of, "MaxUnackMessagesPerConsumer", "maxUnackedMessagesOnConsumer",
			p.SetMaxUnackMessagesPerConsumer, p.GetMaxUnackMessagesPerConsumer, p.RemoveMaxUnackMessagesPerConsumer, 7),
		setting(of, "MaxUnackMessagesPerSubscription", "maxUnackedMessagesOnSubscription",
			p.SetMaxUnackMessagesPerSubscription, p.GetMaxUnackMessagesPerSubscription,
			p.RemoveMaxUnackMessagesPerSubscription, 7),
		setting(of, "MaxMessageSize", "maxMessageSize",
			p.SetMaxMessageSize, p.GetMaxMessageSize, p.RemoveMaxMessageSize, 1000),
		setting(of, "Persistence", "persistence",
			valued(p.SetPersistence), p.GetPersistence, p.RemovePersistence, &somePersistence),
		setting(of, "DelayedDelivery", "delayedDelivery",
			valued(p.SetDelayedDelivery), p.GetDelayedDelivery, p.RemoveDelayedDelivery, &someDelays),
		setting(of, "DispatchRate", "dispatchRate",
			valued(p.SetDispatchRate), p.GetDispatchRate, p.RemoveDispatchRate, &someRate),
		setting(of, "SubscriptionDispatchRate", "subscriptionDispatchRate",
			valued(p.SetSubscriptionDispatchRate), p.GetSubscriptionDispatchRate, p.RemoveSubscriptionDispatchRate,
			&someRate),
		setting(of, "ReplicatorDispatchRate", "replicatorDispatchRate",
			valued(p.SetReplicatorDispatchRate), p.GetReplicatorDispatchRate, p.RemoveReplicatorDispatchRate,
			&someRate),
		setting(of, "PublishRate", "publishRate",
			valued(p.SetPublishRate), p.GetPublishRate, p.RemovePublishRate, &somePublishRate),
		setting(of, "SubscribeRate", "subscribeRate",
			valued(p.SetSubscribeRate), p.GetSubscribeRate, p.RemoveSubscribeRate, &someSubscribes),
		setting(of, "DeduplicationStatus", "deduplicationEnabled",
			p.SetDeduplicationStatus, p.GetDeduplicationStatus, p.RemoveDeduplicationStatus, true),
		setting(of, "DeduplicationSnapshotInterval", "deduplicationSnapshotInterval",
			p.SetDeduplicationSnapshotInterval, p.GetDeduplicationSnapshotInterval,
			p.RemoveDeduplicationSnapshotInterval, 7),
		setting(of, "Retention", "retention",
			valued(p.SetRetention), own(p.GetRetention), p.RemoveRetention, &someRetention),
		setting(of, "CompactionThreshold", "compactionThreshold",
			p.SetCompactionThreshold, own(p.GetCompactionThreshold), p.RemoveCompactionThreshold, 1000),
		setting(of, "InactiveTopicPolicies", "inactiveTopicPolicies",
			p.SetInactiveTopicPolicies, own(p.GetInactiveTopicPolicies), p.RemoveInactiveTopicPolicies, someInactive),
		setting(of, "SchemaValidationEnforced", "schemaValidationEnforced",
			p.SetSchemaValidationEnforced, p.GetSchemaValidationEnforced, p.RemoveSchemaValidationEnforced, true),
		setting(of, "OffloadPolicies", "offloadPolicies",
			valued(p.SetOffloadPolicies), p.GetOffloadPolicies, p.RemoveOffloadPolicies, &someOffload),
		setting(of, "AutoSubscriptionCreation", "autoSubscriptionCreation", valued(p.SetAutoSubscriptionCreation),
			p.GetAutoSubscriptionCreation, p.RemoveAutoSubscriptionCreation, &noSubscriptions),
		setting(of, "SchemaCompatibilityStrategy", "schemaCompatibilityStrategy",
			p.SetSchemaCompatibilityStrategy, p.GetSchemaCompatibilityStrategy, p.RemoveSchemaCompatibilityStrategy, someStrategy),
	}
	for _, each := range settings {
		each(t, s, topic, restPath(topic.String()))
	}
	strategy := must[utils.SchemaCompatibilityStrategy](t)(p.GetSchemaCompatibilityStrategyApplied(topic, false))
	equal(t, strategy, utils.SchemaCompatibilityStrategyUndefined, "strategy that is not set")
	check(t, p.SetSchemaCompatibilityStrategy(topic, someStrategy))
	strategy = must[utils.SchemaCompatibilityStrategy](t)(p.GetSchemaCompatibilityStrategyApplied(topic, false))
	equal(t, strategy, someStrategy, "strategy that is set")
	s.checked(of, "GetSchemaCompatibilityStrategyApplied")
}

// What is set for the topic itself, from a getter that can also say what is in force.
func own[On, T any](get func(On, bool) (T, error)) func(On) (T, error) {
	return func(on On) (T, error) { return get(on, false) }
}

// A setting of `TopicPolicies`. When it is set it must be what is in force, too.
func scoped[T any](
	name, path string, set func(context.Context, utils.TopicName, T) error,
	get func(context.Context, utils.TopicName, bool) (*T, error),
	remove func(context.Context, utils.TopicName) error, value T,
) settingCheck[utils.TopicName] {
	ctx := context.Background()
	setAndApplied := func(topic utils.TopicName, value *T) error {
		if err := set(ctx, topic, *value); err != nil {
			return err
		}
		if applied, err := get(ctx, topic, true); err != nil || !reflect.DeepEqual(applied, value) {
			return fmt.Errorf("in force: %v, %w", applied, err)
		}
		return nil
	}
	return setting("TopicPolicies", name, path, setAndApplied,
		func(topic utils.TopicName) (*T, error) { return get(ctx, topic, false) },
		func(topic utils.TopicName) error { return remove(ctx, topic) }, &value)
}

// The policies as the library's newer `TopicPolicies` has them.
func adminScopedPolicies(t *testing.T, s *adminScript) {
	p, topic := s.policies, s.newAdminTopic(t)
	settings := []settingCheck[utils.TopicName]{
		scoped("MessageTTL", "messageTTL", p.SetMessageTTL, p.GetMessageTTL, p.RemoveMessageTTL, 60),
		scoped("MaxProducers", "maxProducers", p.SetMaxProducers, p.GetMaxProducers, p.RemoveMaxProducers, 7),
		scoped("MaxConsumers", "maxConsumers", p.SetMaxConsumers, p.GetMaxConsumers, p.RemoveMaxConsumers, 7),
		scoped("MaxConsumersPerSubscription", "maxConsumersPerSubscription",
			p.SetMaxConsumersPerSubscription, p.GetMaxConsumersPerSubscription, p.RemoveMaxConsumersPerSubscription, 7),
		scoped("MaxSubscriptionsPerTopic", "maxSubscriptionsPerTopic",
			p.SetMaxSubscriptionsPerTopic, p.GetMaxSubscriptionsPerTopic, p.RemoveMaxSubscriptionsPerTopic, 7),
		scoped("MaxUnackMessagesPerConsumer", "maxUnackedMessagesOnConsumer",
			p.SetMaxUnackMessagesPerConsumer, p.GetMaxUnackMessagesPerConsumer, p.RemoveMaxUnackMessagesPerConsumer, 7),
		scoped("MaxUnackMessagesPerSubscription", "maxUnackedMessagesOnSubscription",
			p.SetMaxUnackMessagesPerSubscription, p.GetMaxUnackMessagesPerSubscription,
			p.RemoveMaxUnackMessagesPerSubscription, 7),
		scoped("MaxMessageSize", "maxMessageSize",
			p.SetMaxMessageSize, p.GetMaxMessageSize, p.RemoveMaxMessageSize, 1000),
		scoped("Persistence", "persistence",
			p.SetPersistence, p.GetPersistence, p.RemovePersistence, somePersistence),
		scoped("DelayedDelivery", "delayedDelivery",
			p.SetDelayedDelivery, p.GetDelayedDelivery, p.RemoveDelayedDelivery, someDelays),
		scoped("DispatchRate", "dispatchRate", p.SetDispatchRate, p.GetDispatchRate, p.RemoveDispatchRate, someRate),
		scoped("SubscriptionDispatchRate", "subscriptionDispatchRate",
			p.SetSubscriptionDispatchRate, p.GetSubscriptionDispatchRate, p.RemoveSubscriptionDispatchRate, someRate),
		scoped("ReplicatorDispatchRate", "replicatorDispatchRate",
			p.SetReplicatorDispatchRate, p.GetReplicatorDispatchRate, p.RemoveReplicatorDispatchRate, someRate),
		scoped("PublishRate", "publishRate",
			p.SetPublishRate, p.GetPublishRate, p.RemovePublishRate, somePublishRate),
		scoped("SubscribeRate", "subscribeRate",
			p.SetSubscribeRate, p.GetSubscribeRate, p.RemoveSubscribeRate, someSubscribes),
		scoped("DeduplicationStatus", "deduplicationEnabled",
			p.SetDeduplicationStatus, p.GetDeduplicationStatus, p.RemoveDeduplicationStatus, true),
		scoped("DeduplicationSnapshotInterval", "deduplicationSnapshotInterval", p.SetDeduplicationSnapshotInterval,
			p.GetDeduplicationSnapshotInterval, p.RemoveDeduplicationSnapshotInterval, 7),
		scoped("Retention", "retention", p.SetRetention, p.GetRetention, p.RemoveRetention, someRetention),
		scoped("CompactionThreshold", "compactionThreshold",
			p.SetCompactionThreshold, p.GetCompactionThreshold, p.RemoveCompactionThreshold, 1000),
		scoped("InactiveTopicPolicies", "inactiveTopicPolicies",
			p.SetInactiveTopicPolicies, p.GetInactiveTopicPolicies, p.RemoveInactiveTopicPolicies, someInactive),
		scoped("SchemaValidationEnforced", "schemaValidationEnforced",
			p.SetSchemaValidationEnforced, p.GetSchemaValidationEnforced, p.RemoveSchemaValidationEnforced, true),
		scoped("OffloadPolicies", "offloadPolicies",
			p.SetOffloadPolicies, p.GetOffloadPolicies, p.RemoveOffloadPolicies, someOffload),
		scoped("AutoSubscriptionCreation", "autoSubscriptionCreation",
			p.SetAutoSubscriptionCreation, p.GetAutoSubscriptionCreation, p.RemoveAutoSubscriptionCreation,
			noSubscriptions),
		scoped("SchemaCompatibilityStrategy", "schemaCompatibilityStrategy", p.SetSchemaCompatibilityStrategy,
			p.GetSchemaCompatibilityStrategy, p.RemoveSchemaCompatibilityStrategy, someStrategy),
	}
	for _, each := range settings {
		each(t, s, topic, restPath(topic.String()))
	}
	// Policies for all clusters are refused, and change nothing.
	ctx := context.Background()
	refusal(t, s.global.SetMessageTTL(ctx, topic, 60), 412, "isGlobal")
	refusal(t, s.global.RemoveMessageTTL(ctx, topic), 412, "isGlobal")
	equal(t, string(rest(t, "GET", restPath(topic.String())+"/messageTTL", "")), "", "TTL after a refusal")
}

func adminTopicBacklogQuotas(t *testing.T, s *adminScript) {
	type quotas = map[utils.BacklogQuotaType]utils.BacklogQuota
	topics, scoped, topic, ctx := s.Topics(), s.policies, s.newAdminTopic(t), context.Background()
	size := utils.NewBacklogQuota(1000, -1, utils.ProducerException)
	age := utils.NewBacklogQuota(-1, 60, utils.ConsumerBacklogEviction)
	byREST := func() quotas { return restJSON[quotas](t, restPath(topic.String())+"/backlogQuotaMap") }
	same(t, byREST(), quotas{}, "quotas before")
	check(t, topics.SetBacklogQuota(topic, size, utils.DestinationStorage))
	same(t, byREST(), quotas{utils.DestinationStorage: size}, "quota by size")
	check(t, scoped.SetBacklogQuota(ctx, topic, age, utils.MessageAge))
	both := quotas{utils.DestinationStorage: size, utils.MessageAge: age}
	same(t, must[quotas](t)(topics.GetBacklogQuotaMap(topic, false)), both, "quotas")
	same(t, must[quotas](t)(scoped.GetBacklogQuotaMap(ctx, topic, true)), both, "quotas in force")
	check(t, topics.RemoveBacklogQuota(topic, utils.DestinationStorage))
	same(t, byREST(), quotas{utils.MessageAge: age}, "quota that is left")
	check(t, scoped.RemoveBacklogQuota(ctx, topic, utils.MessageAge))
	same(t, byREST(), quotas{}, "quotas that are left")
	for _, of := range []string{"Topics", "TopicPolicies"} {
		s.checked(of, "SetBacklogQuota", "GetBacklogQuotaMap", "RemoveBacklogQuota")
	}

	inForce := func() []string { return restJSON[[]string](t, restPath(topic.String())+"/replication?applied=true") }
	clusters := []string{thisCluster}
	check(t, topics.SetReplicationClusters(topic, clusters))
	same(t, must[[]string](t)(scoped.GetReplicationClusters(ctx, topic, false)), clusters, "clusters of the topic")
	check(t, topics.RemoveReplicationClusters(topic))
	equal(t, len(must[[]string](t)(topics.GetReplicationClusters(topic))), 0, "number of the topic's clusters after")
	same(t, inForce(), clusters, "clusters in force, the namespace's")
	check(t, scoped.SetReplicationClusters(ctx, topic, clusters))
	same(t, must[[]string](t)(topics.GetReplicationClusters(topic)), clusters, "clusters of the topic")
	refusal(t, topics.SetReplicationClusters(topic, []string{"nowhere"}), 403, "nowhere")
	check(t, scoped.RemoveReplicationClusters(ctx, topic))
	equal(t, len(must[[]string](t)(topics.GetReplicationClusters(topic))), 0, "number of the topic's clusters after")
	for _, of := range []string{"Topics", "TopicPolicies"} {
		s.checked(of, "GetReplicationClusters", "SetReplicationClusters", "RemoveReplicationClusters")
	}
}
