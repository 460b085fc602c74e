package interop

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/utils"
)

func adminBrokers(t *testing.T, s *adminScript) {
	type ownership = map[string]utils.NamespaceOwnershipStatus
	brokers := s.Brokers()
	leader := must[utils.BrokerInfo](t)(brokers.GetLeaderBroker())
	same(t, must[[]string](t)(brokers.GetListActiveBrokers()), []string{leader.BrokerID}, "brokers")
	ofCluster := must[[]string](t)(brokers.GetActiveBrokers(thisCluster))
	same(t, ofCluster, []string{leader.BrokerID}, "brokers of the cluster")
	_, err := brokers.GetActiveBrokers("not-there")
	refusal(t, err, 404, "")
	owned := func() ownership {
		return must[ownership](t)(brokers.GetOwnedNamespaces(thisCluster, leader.BrokerID))
	}
	topic := s.newAdminTopic(t)
	bundle := topic.GetTenant() + "/n/" + must[string](t)(s.Topics().GetBundleRange(topic))
	check(t, s.Namespaces().Unload(topic.GetTenant()+"/n"))
	equal(t, owned()[bundle].IsActive, false, "bundle that nobody uses")
	newProducer(t, newClient(t), pulsar.ProducerOptions{Topic: topic.String()})
	equal(t, owned()[bundle].IsActive, true, "bundle with a producer")

	check(t, brokers.HealthCheck())
	check(t, brokers.HealthCheckWithTopicVersion(utils.TopicVersionV2))
	equal(t, string(rest(t, "GET", "/admin/v2/brokers/health", "")), "ok", "health by REST")
	internal := must[*utils.InternalConfigurationData](t)(brokers.GetInternalConfigurationData())
	byREST := restJSON[utils.InternalConfigurationData](t, "/admin/v2/brokers/internal-configuration")
	same(t, *internal, byREST, "internal configuration")
	equal(t, internal.LedgersRootPath, "/ledgers", "ledgersRootPath")
	s.checked("Brokers", "GetLeaderBroker", "GetListActiveBrokers", "GetActiveBrokers", "GetOwnedNamespaces",
		"HealthCheck", "HealthCheckWithTopicVersion", "GetInternalConfigurationData")
}

// A key is set while the broker runs, acts, and is forgotten.
func adminDynamicConfiguration(t *testing.T, s *adminScript) {
	const key = "allowAutoTopicCreation"
	brokers, client, namespace := s.Brokers(), newClient(t), s.newNamespace(t)
	values := func() map[string]string { return must[map[string]string](t)(brokers.GetAllDynamicConfigurations()) }
	runtime := func() string { return must[map[string]string](t)(brokers.GetRuntimeConfigurations())[key] }
	comesIntoBeing := func(name string) bool {
		topic := topicOf(t, namespace, name)
		producer, err := client.CreateProducer(pulsar.ProducerOptions{Topic: topic.String()})
		if err == nil {
			producer.Close()
		}
		return err == nil
	}
	listed(t, must[[]string](t)(brokers.GetDynamicConfigurationNames()), key, true, "names")
	same(t, values(), map[string]string{}, "values before")
	equal(t, runtime(), "true", "runtime value before")
	equal(t, comesIntoBeing("a"), true, "topic that is used before")
	t.Cleanup(func() { _ = brokers.DeleteDynamicConfiguration(key) })
	check(t, brokers.UpdateDynamicConfiguration(key, "false"))
	same(t, values(), map[string]string{key: "false"}, "values")
	same(t, restJSON[map[string]string](t, "/admin/v2/brokers/configuration/values"), values(), "values by REST")
	waitFor(t, "runtime value", func() bool { return runtime() == "false" })
	equal(t, comesIntoBeing("b"), false, "topic that is used now")
	check(t, brokers.DeleteDynamicConfiguration(key))
	waitFor(t, "initial value", func() bool { return runtime() == "true" })
	same(t, values(), map[string]string{}, "values that are left")
	equal(t, comesIntoBeing("b"), true, "topic that is used again")
	refusal(t, brokers.UpdateDynamicConfiguration("webServicePort", "1"), 412, "")
	s.checked("Brokers", "GetDynamicConfigurationNames", "GetAllDynamicConfigurations", "GetRuntimeConfigurations",
		"UpdateDynamicConfiguration", "DeleteDynamicConfiguration")
}

func adminBrokerStats(t *testing.T, s *adminScript) {
	stats, topic, client := s.BrokerStats(), s.newAdminTopic(t), newClient(t)
	before := must[*utils.LocalBrokerData](t)(stats.GetLoadReport())
	newProducer(t, client, pulsar.ProducerOptions{Topic: topic.String()})
	newConsumer(t, client, pulsar.ConsumerOptions{Topic: topic.String()})

	bundle := must[string](t)(s.Topics().GetBundleRange(topic))
	waitFor(t, "topic in the statistics", func() bool {
		var all map[string]map[string]map[string]map[string]any
		check(t, json.Unmarshal([]byte(must[string](t)(stats.GetTopics())), &all))
		_, ok := all[topic.GetTenant()+"/n"][bundle]["persistent"][topic.String()]
		return ok
	})
	waitFor(t, "client in the load report", func() bool {
		now := must[*utils.LocalBrokerData](t)(stats.GetLoadReport())
		return now.PulsarServiceURL != "" && now.LastUpdate >= before.LastUpdate && now.NumConsumers > 0 &&
			now.NumProducers > 0 && slices.Contains(now.Bundles, topic.GetTenant()+"/n/"+bundle)
	})
	added := func() float64 {
		metrics := must[[]utils.Metrics](t)(stats.GetMetrics())
		equal(t, metrics[0].Dimensions["cluster"], thisCluster, "dimension of the metrics")
		return metrics[0].Metrics["bookie_WRITE_BYTES"].(float64)
	}
	addedBefore := added()
	sendNumbers(t, client, topic.String(), 0, 3)
	waitFor(t, "entries in the metrics", func() bool { return added() >= addedBefore+3 })
	same(t, must[[]utils.Metrics](t)(stats.GetMBeans()), []utils.Metrics{}, "mbeans of what is not a JVM")
	s.checked("BrokerStats", "GetTopics", "GetLoadReport", "GetMetrics", "GetMBeans")
	_, err := stats.GetAllocatorStats("default")
	refusal(t, err, 406, "")
	s.wasRefused("BrokerStats", "GetAllocatorStats")
}
