package interop

import (
	"strings"
	"testing"

	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/utils"
)

func pointerTo[T any](value T) *T { return &value }

func adminNamespacePolicies(t *testing.T, s *adminScript) {
	const of = "Namespaces"
	n, namespace := s.Namespaces(), s.newNamespace(t)
	rate := utils.DispatchRate{DispatchThrottlingRateInMsg: 7, DispatchThrottlingRateInByte: 8, RatePeriodInSecond: 9}
	byName := []settingCheck[string]{
		setting(of, "NamespaceMessageTTL", "messageTTL",
			n.SetNamespaceMessageTTL, n.GetNamespaceMessageTTL, n.RemoveNamespaceMessageTTL, 60),
		setting(of, "Retention", "retention", valued(n.SetRetention), n.GetRetention, n.RemoveRetention,
			&utils.RetentionPolicies{RetentionTimeInMinutes: 5, RetentionSizeInMB: 6}),
		setting(of, "Persistence", "persistence", valued(n.SetPersistence), n.GetPersistence, n.RemovePersistence,
			pointerTo(utils.NewPersistencePolicies(3, 2, 1, 0.5))),
	}
	settings := []settingCheck[utils.NameSpaceName]{
		setting(of, "TopicAutoCreation", "autoTopicCreation",
			valued(n.SetTopicAutoCreation), n.GetTopicAutoCreation, n.RemoveTopicAutoCreation,
			&utils.TopicAutoCreationConfig{Allow: true, Type: utils.Partitioned, Partitions: pointerTo(3)}),
		setting(of, "InactiveTopicPolicies", "inactiveTopicPolicies",
			n.SetInactiveTopicPolicies, n.GetInactiveTopicPolicies, n.RemoveInactiveTopicPolicies,
			utils.NewInactiveTopicPolicies(pointerTo(utils.DeleteWhenSubscriptionsCaughtUp), 120, true)),
		setting(of, "SubscriptionExpirationTime", "subscriptionExpirationTime",
			n.SetSubscriptionExpirationTime, n.GetSubscriptionExpirationTime, n.RemoveSubscriptionExpirationTime, 7),
		setting(of, "MaxConsumersPerSubscription", "maxConsumersPerSubscription",
			n.SetMaxConsumersPerSubscription, n.GetMaxConsumersPerSubscription, n.RemoveMaxConsumersPerSubscription, 7),
		setting(of, "MaxConsumersPerTopic", "maxConsumersPerTopic",
			n.SetMaxConsumersPerTopic, n.GetMaxConsumersPerTopic, n.RemoveMaxConsumersPerTopic, 7),
		setting(of, "MaxProducersPerTopic", "maxProducersPerTopic",
			n.SetMaxProducersPerTopic, n.GetMaxProducersPerTopic, n.RemoveMaxProducersPerTopic, 7),
		setting(of, "MaxTopicsPerNamespace", "maxTopicsPerNamespace",
			n.SetMaxTopicsPerNamespace, n.GetMaxTopicsPerNamespace, n.RemoveMaxTopicsPerNamespace, 7),
		setting(of, "CompactionThreshold", "compactionThreshold",
			n.SetCompactionThreshold, n.GetCompactionThreshold, nil, 1000),
		setting(of, "OffloadThreshold", "offloadThreshold", n.SetOffloadThreshold, n.GetOffloadThreshold, nil, 1000),
		setting(of, "OffloadThresholdInSeconds", "offloadThresholdInSeconds",
			n.SetOffloadThresholdInSeconds, n.GetOffloadThresholdInSeconds, nil, 1000),
		setting(of, "OffloadDeleteLag", "offloadDeletionLagMs",
			n.SetOffloadDeleteLag, n.GetOffloadDeleteLag, nil, 1000),
		setting(of, "SchemaValidationEnforced", "schemaValidationEnforced",
			n.SetSchemaValidationEnforced, n.GetSchemaValidationEnforced, nil, true),
		setting(of, "IsAllowAutoUpdateSchema", "isAllowAutoUpdateSchema",
			n.SetIsAllowAutoUpdateSchema, n.GetIsAllowAutoUpdateSchema, nil, false),
		setting(of, "SchemaCompatibilityStrategy", "schemaCompatibilityStrategy", n.SetSchemaCompatibilityStrategy,
			n.GetSchemaCompatibilityStrategy, nil, utils.SchemaCompatibilityStrategyForwardTransitive),
		setting(of, "SchemaAutoUpdateCompatibilityStrategy", "schemaAutoUpdateCompatibilityStrategy",
			n.SetSchemaAutoUpdateCompatibilityStrategy, n.GetSchemaAutoUpdateCompatibilityStrategy, nil,
			utils.Backward),
		setting(of, "DispatchRate", "dispatchRate", n.SetDispatchRate, n.GetDispatchRate, nil, rate),
		setting(of, "SubscriptionDispatchRate", "subscriptionDispatchRate",
			n.SetSubscriptionDispatchRate, n.GetSubscriptionDispatchRate, nil, rate),
		setting(of, "ReplicatorDispatchRate", "replicatorDispatchRate",
			n.SetReplicatorDispatchRate, n.GetReplicatorDispatchRate, nil, rate),
		setting(of, "SubscribeRate", "subscribeRate", n.SetSubscribeRate, n.GetSubscribeRate, nil,
			utils.SubscribeRate{SubscribeThrottlingRatePerConsumer: 7, RatePeriodInSecond: 8}),
		setting(of, "PublishRate", "publishRate", n.SetPublishRate, n.GetPublishRate, nil,
			utils.PublishRate{PublishThrottlingRateInMsg: 7, PublishThrottlingRateInByte: 8}),
	}
	base := "/admin/v2/namespaces/" + namespace.String()
	// The library can't read the answer that there is none.
	check(t, n.SetSchemaAutoUpdateCompatibilityStrategy(namespace, utils.Forward))
	for _, each := range byName {
		each(t, s, namespace.String(), base)
	}
	for _, each := range settings {
		each(t, s, namespace, base)
	}
	check(t, n.ClearOffloadDeleteLag(namespace))
	equal(t, must[int64](t)(n.GetOffloadDeleteLag(namespace)), -1, "lag that was cleared")
	s.checked(of, "ClearOffloadDeleteLag")
}

// A setter that takes the value where its getter gives a pointer to it.
func valued[On, T any](set func(On, T) error) func(On, *T) error {
	return func(on On, value *T) error { return set(on, *value) }
}

func adminBacklogQuotas(t *testing.T, s *adminScript) {
	n, namespace := s.Namespaces(), s.newNamespace(t)
	path := "/admin/v2/namespaces/" + namespace.String() + "/backlogQuotaMap"
	type quotas = map[utils.BacklogQuotaType]utils.BacklogQuota
	get := func() quotas { return must[quotas](t)(n.GetBacklogQuotaMap(namespace.String())) }
	same(t, get(), quotas{}, "quotas before")
	size := utils.NewBacklogQuota(1000, -1, utils.ProducerException)
	age := utils.NewBacklogQuota(-1, 60, utils.ConsumerBacklogEviction)
	check(t, n.SetBacklogQuota(namespace.String(), size, utils.DestinationStorage))
	check(t, n.SetBacklogQuota(namespace.String(), age, utils.MessageAge))
	same(t, get(), quotas{utils.DestinationStorage: size, utils.MessageAge: age}, "quotas")
	same(t, restJSON[quotas](t, path), get(), "quotas by REST")
	check(t, n.RemoveBacklogQuota(namespace.String())) // The one by size.
	same(t, restJSON[quotas](t, path), quotas{utils.MessageAge: age}, "quotas that are left")
	s.checked("Namespaces", "GetBacklogQuotaMap", "SetBacklogQuota", "RemoveBacklogQuota")
}

func adminNamespacePlacement(t *testing.T, s *adminScript) {
	n, namespace := s.Namespaces(), s.newNamespace(t)
	name := namespace.String()
	base := "/admin/v2/namespaces/" + name

	group := utils.BookieAffinityGroupData{
		BookkeeperAffinityGroupPrimary: "one", BookkeeperAffinityGroupSecondary: "two",
	}
	check(t, n.SetBookieAffinityGroup(name, group))
	same(t, *must[*utils.BookieAffinityGroupData](t)(n.GetBookieAffinityGroup(name)), group, "bookie affinity")
	same(t, restJSON[utils.BookieAffinityGroupData](t, base+"/persistence/bookieAffinity"), group, "the same by REST")
	check(t, n.DeleteBookieAffinityGroup(name))
	if left, err := n.GetBookieAffinityGroup(name); err == nil && left != nil && *left == group {
		t.Fatalf("deleted bookie affinity: %v", left)
	}
	s.checked("Namespaces", "SetBookieAffinityGroup", "GetBookieAffinityGroup", "DeleteBookieAffinityGroup")

	tenant, _, _ := strings.Cut(name, "/")
	inGroup := func() []string { return must[[]string](t)(n.GetAntiAffinityNamespaces(tenant, thisCluster, "apart")) }
	listed(t, inGroup(), name, false, "anti-affinity group before")
	check(t, n.SetNamespaceAntiAffinityGroup(name, "apart"))
	listed(t, inGroup(), name, true, "anti-affinity group")
	equal(t, strings.Trim(must[string](t)(n.GetNamespaceAntiAffinityGroup(name)), `"`), "apart", "group")
	check(t, n.DeleteNamespaceAntiAffinityGroup(name))
	listed(t, inGroup(), name, false, "anti-affinity group after")
	s.checked("Namespaces", "GetAntiAffinityNamespaces", "SetNamespaceAntiAffinityGroup",
		"GetNamespaceAntiAffinityGroup", "DeleteNamespaceAntiAffinityGroup")

	other := newName("cluster")
	check(t, s.Clusters().Create(utils.ClusterData{Name: other, ServiceURL: "http://one:8080"}))
	clusters := []string{thisCluster, other}
	refusal(t, n.SetNamespaceReplicationClusters(name, clusters), 403, other)
	check(t, s.Tenants().Update(utils.TenantData{Name: tenant, AllowedClusters: clusters}))
	same(t, must[[]string](t)(n.GetNamespaceReplicationClusters(name)), clusters[:1], "clusters before")
	check(t, n.SetNamespaceReplicationClusters(name, clusters))
	got := must[[]string](t)(n.GetNamespaceReplicationClusters(name))
	listed(t, got, other, true, "clusters")
	same(t, restJSON[[]string](t, base+"/replication"), got, "clusters by REST")
	check(t, n.DeleteNamespace(name))
	s.checked("Namespaces", "GetNamespaceReplicationClusters", "SetNamespaceReplicationClusters")
}
