package interop

import (
	"testing"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/utils"
)

func adminNamespaceLife(t *testing.T, s *adminScript) {
	n, tenant := s.Namespaces(), s.newTenant(t)
	check(t, n.CreateNamespace(tenant+"/a"))
	refusal(t, n.CreateNamespace(tenant+"/a"), 409, "already exist")
	check(t, n.CreateNsWithNumBundles(tenant+"/b", 2))
	same(t, bundles(t, s, tenant+"/b"), []string{"0x00000000", "0x80000000", "0xffffffff"}, "boundaries of two bundles")
	cut := utils.NewBundlesData([]string{"0x00000000", "0x40000000", "0x80000000", "0xc0000000", "0xffffffff"})
	check(t, n.CreateNsWithBundlesData(tenant+"/c", &cut))
	same(t, bundles(t, s, tenant+"/c"), cut.Boundaries, "boundaries that were given")
	uneven := utils.NewBundlesData([]string{"0x00000000", "0x10000000", "0xffffffff"})
	check(t, n.CreateNsWithBundlesData(tenant+"/e", &uneven))
	same(t, bundles(t, s, tenant+"/e"), uneven.Boundaries, "boundaries that are not even")
	check(t, n.DeleteNamespace(tenant+"/e"))
	short := utils.NewBundlesData([]string{"0x00000000", "0x10000000"})
	refusal(t, n.CreateNsWithBundlesData(tenant+"/f", &short), 400, "whole hash range")
	policies := utils.NewDefaultPolicies()
	policies.ReplicationClusters = []string{thisCluster}
	policies.MessageTTLInSeconds = pointerTo(77)
	policies.MaxProducersPerTopic = pointerTo(3)
	check(t, n.CreateNsWithPolices(tenant+"/d", *policies))
	equal(t, must[int](t)(n.GetNamespaceMessageTTL(tenant+"/d")), 77, "TTL that was given")
	got := must[*utils.Policies](t)(n.GetPolicies(tenant + "/d"))
	equal(t, *got.MaxProducersPerTopic, 3, "producers that were given")
	same(t, got.ReplicationClusters, []string{thisCluster}, "clusters that were given")

	all := []string{tenant + "/a", tenant + "/b", tenant + "/c", tenant + "/d"}
	same(t, must[[]string](t)(n.GetNamespaces(tenant)), all, "namespaces")
	same(t, restJSON[[]string](t, "/admin/v2/namespaces/"+tenant), all, "namespaces by REST")

	same(t, must[[]string](t)(n.GetTopics(tenant+"/a")), []string{}, "topics before")
	name := *must[*utils.NameSpaceName](t)(utils.GetNamespaceName(tenant + "/a"))
	check(t, s.Topics().Create(topicOf(t, name, "t"), 0))
	same(t, must[[]string](t)(n.GetTopics(tenant+"/a")), []string{topicName(t, name, "t")}, "topics")
	refusal(t, n.DeleteNamespace(tenant+"/a"), 409, "")
	check(t, s.Topics().Delete(topicOf(t, name, "t"), false, true))
	check(t, n.DeleteNamespace(tenant+"/a"))
	same(t, restJSON[[]string](t, "/admin/v2/namespaces/"+tenant), all[1:], "namespaces that are left")
	_, err := n.GetPolicies(tenant + "/a")
	refusal(t, err, 404, "")
	s.checked("Namespaces", "CreateNamespace", "CreateNsWithNumBundles", "CreateNsWithBundlesData",
		"CreateNsWithPolices", "GetPolicies", "GetNamespaces", "GetTopics", "DeleteNamespace")
}

func topicName(t *testing.T, namespace utils.NameSpaceName, name string) string {
	topic := topicOf(t, namespace, name)
	return topic.String()
}

func bundles(t *testing.T, s *adminScript, namespace string) []string {
	t.Helper()
	return must[*utils.Policies](t)(s.Namespaces().GetPolicies(namespace)).Bundles.Boundaries
}

func adminNamespaceProperties(t *testing.T, s *adminScript) {
	n, namespace := s.Namespaces(), s.newNamespace(t)
	path := "/admin/v2/namespaces/" + namespace.String() + "/properties"
	check(t, n.UpdateProperties(namespace, map[string]string{"a": "1"}))
	check(t, n.UpdateProperties(namespace, map[string]string{"b": "2"}))
	want := map[string]string{"a": "1", "b": "2"}
	same(t, must[map[string]string](t)(n.GetProperties(namespace)), want, "properties")
	same(t, restJSON[map[string]string](t, path), want, "properties by REST")
	check(t, n.RemoveProperties(namespace))
	same(t, restJSON[map[string]string](t, path), map[string]string{}, "properties that are left")
	s.checked("Namespaces", "UpdateProperties", "GetProperties", "RemoveProperties")
}

func adminNamespacePermissions(t *testing.T, s *adminScript) {
	n, namespace := s.Namespaces(), s.newNamespace(t)
	base := "/admin/v2/namespaces/" + namespace.String()
	type actions = map[string][]utils.AuthAction
	check(t, n.GrantNamespacePermission(namespace, "one", []utils.AuthAction{"produce"}))
	same(t, must[actions](t)(n.GetNamespacePermissions(namespace)), actions{"one": {"produce"}}, "permissions")
	same(t, restJSON[actions](t, base+"/permissions"), actions{"one": {"produce"}}, "permissions by REST")
	check(t, n.RevokeNamespacePermission(namespace, "one"))
	same(t, restJSON[actions](t, base+"/permissions"), actions{}, "permissions that are left")

	type roles = map[string][]string
	check(t, n.GrantSubPermission(namespace, "s", []string{"one", "two"}))
	same(t, must[roles](t)(n.GetSubPermissions(namespace)), roles{"s": {"one", "two"}}, "roles of the subscription")
	check(t, n.RevokeSubPermission(namespace, "s", "one"))
	same(t, restJSON[roles](t, base+"/permissions/subscription"), roles{"s": {"two"}}, "roles that are left")

	check(t, n.SetSubscriptionAuthMode(namespace, utils.Prefix))
	mode := must[*utils.Policies](t)(n.GetPolicies(namespace.String())).SubscriptionAuthMode
	equal(t, mode, utils.Prefix, "subscriptionAuthMode")
	s.checked("Namespaces", "GrantNamespacePermission", "GetNamespacePermissions", "RevokeNamespacePermission",
		"GrantSubPermission", "GetSubPermissions", "RevokeSubPermission", "SetSubscriptionAuthMode")
}

// What has no getter in the library acts on clients.
func adminNamespaceRules(t *testing.T, s *adminScript) {
	n, client := s.Namespaces(), newClient(t)
	produces := func(topic string) error {
		producer, err := client.CreateProducer(pulsar.ProducerOptions{Topic: topic})
		if err == nil {
			producer.Close()
		}
		return err
	}
	namespace := s.newNamespace(t)
	topic := topicName(t, namespace, "t")
	path := "/admin/v2/namespaces/" + namespace.String()
	check(t, produces(topic))
	check(t, n.SetEncryptionRequiredStatus(namespace, true))
	equal(t, string(rest(t, "GET", path+"/encryptionRequired", "")), "true", "encryptionRequired")
	waitFor(t, "refusal of a producer that does not encrypt", func() bool { return produces(topic) != nil })
	check(t, n.SetEncryptionRequiredStatus(namespace, false))
	waitFor(t, "a producer that does not encrypt", func() bool { return produces(topic) == nil })

	check(t, n.SetDeduplicationStatus(namespace.String(), true))
	equal(t, string(rest(t, "GET", path+"/deduplication", "")), "true", "deduplication")
	again := topicOf(t, namespace, "again")
	producer := newProducer(t, client, pulsar.ProducerOptions{Topic: again.String(), Name: "p", DisableBatching: true})
	for range 2 {
		send(t, producer, &pulsar.ProducerMessage{Payload: number(0), SequenceID: pointerTo(int64(5))})
	}
	stats := must[utils.PersistentTopicInternalStats](t)(s.Topics().GetInternalStats(again))
	equal(t, stats.NumberOfEntries, 1, "entries of a message that was sent twice")
	s.checked("Namespaces", "SetEncryptionRequiredStatus", "SetDeduplicationStatus")
}

// A namespace of one bundle, with a topic of three messages that the subscriptions have not acknowledged.
func (s *adminScript) newBacklog(t *testing.T, subscriptions ...string) (utils.NameSpaceName, utils.TopicName) {
	t.Helper()
	tenant := s.newTenant(t)
	check(t, s.Namespaces().CreateNsWithNumBundles(tenant+"/n", 1))
	namespace := *must[*utils.NameSpaceName](t)(utils.GetNamespaceName(tenant + "/n"))
	topic := topicOf(t, namespace, "t")
	check(t, s.Topics().Create(topic, 0))
	for _, name := range subscriptions {
		check(t, s.Subscriptions().Create(topic, name, utils.Earliest))
	}
	client := must[pulsar.Client](t)(pulsar.NewClient(clientOptions()))
	defer client.Close()
	sendNumbers(t, client, topic.String(), 0, 3)
	return namespace, topic
}

// The backlogs of the topic's subscriptions, by REST.
func backlogs(t *testing.T, topic utils.TopicName) map[string]int {
	t.Helper()
	stats, all := restJSON[utils.TopicStats](t, restPath(topic.String())+"/stats"), map[string]int{}
	for name, subscription := range stats.Subscriptions {
		all[name] = int(subscription.MsgBacklog)
	}
	return all
}

func adminNamespaceBacklogs(t *testing.T, s *adminScript) {
	const bundle = "0x00000000_0xffffffff"
	n := s.Namespaces()
	namespace, topic := s.newBacklog(t, "a", "b", "c", "d")
	same(t, backlogs(t, topic), map[string]int{"a": 3, "b": 3, "c": 3, "d": 3}, "backlogs")
	check(t, n.ClearNamespaceBacklogForSubscription(namespace, "a"))
	same(t, backlogs(t, topic), map[string]int{"a": 0, "b": 3, "c": 3, "d": 3}, "one was cleared")
	check(t, n.ClearNamespaceBundleBacklogForSubscription(namespace, bundle, "b"))
	same(t, backlogs(t, topic), map[string]int{"a": 0, "b": 0, "c": 3, "d": 3}, "two were cleared")
	check(t, n.UnsubscribeNamespace(namespace, "c"))
	same(t, backlogs(t, topic), map[string]int{"a": 0, "b": 0, "d": 3}, "one is gone")
	check(t, n.UnsubscribeNamespaceBundle(namespace, bundle, "a"))
	same(t, backlogs(t, topic), map[string]int{"b": 0, "d": 3}, "two are gone")
	check(t, n.ClearNamespaceBacklog(namespace))
	same(t, backlogs(t, topic), map[string]int{"b": 0, "d": 0}, "all were cleared")

	namespace, topic = s.newBacklog(t, "a", "b")
	check(t, n.ClearNamespaceBundleBacklog(namespace, bundle))
	same(t, backlogs(t, topic), map[string]int{"a": 0, "b": 0}, "all of the bundle were cleared")
	s.checked("Namespaces", "ClearNamespaceBacklogForSubscription", "ClearNamespaceBundleBacklogForSubscription",
		"UnsubscribeNamespace", "UnsubscribeNamespaceBundle", "ClearNamespaceBacklog", "ClearNamespaceBundleBacklog")
}

func adminBundles(t *testing.T, s *adminScript) {
	const bundle = "0x00000000_0xffffffff"
	n, brokerID := s.Namespaces(), must[utils.BrokerInfo](t)(s.Brokers().GetLeaderBroker()).BrokerID
	namespace, topic := s.newBacklog(t, "a")
	owned := func() bool {
		all := must[map[string]utils.NamespaceOwnershipStatus](t)(s.Brokers().GetOwnedNamespaces(thisCluster, brokerID))
		return all[namespace.String()+"/"+bundle].IsActive
	}
	unloads := []func() error{
		func() error { return n.Unload(namespace.String()) },
		func() error { return n.UnloadNamespaceBundle(namespace.String(), bundle) },
	}
	for _, unload := range unloads {
		equal(t, owned(), true, "topic in use")
		check(t, unload())
		equal(t, owned(), false, "topic in use after its unloading")
		same(t, backlogs(t, topic), map[string]int{"a": 3}, "backlog when it is used again")
	}
	s.checked("Namespaces", "Unload", "UnloadNamespaceBundle")

	refusal(t, n.DeleteNamespaceBundle(namespace.String(), bundle), 409, "non empty")
	same(t, bundles(t, s, namespace.String()), []string{"0x00000000", "0xffffffff"}, "boundaries as they were")
	check(t, n.SplitNamespaceBundle(namespace.String(), bundle, false))
	same(t, bundles(t, s, namespace.String()), []string{"0x00000000", "0x7fffffff", "0xffffffff"}, "boundaries after a split")
	same(t, backlogs(t, topic), map[string]int{"a": 3}, "backlog after a split")
	other := "0x00000000_0x7fffffff"
	if must[string](t)(s.Topics().GetBundleRange(topic)) == other {
		other = "0x7fffffff_0xffffffff"
	}
	check(t, n.DeleteNamespaceBundle(namespace.String(), other))
	same(t, bundles(t, s, namespace.String()), []string{"0x00000000", "0x7fffffff", "0xffffffff"}, "boundaries as they were")
	same(t, backlogs(t, topic), map[string]int{"a": 3}, "backlog, as the other bundle had nothing")
	s.checked("Namespaces", "SplitNamespaceBundle", "DeleteNamespaceBundle")
}
