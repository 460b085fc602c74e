package interop

import (
	"testing"

	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/utils"
)

// The name that a standalone server gives its cluster.
const thisCluster = "standalone"

func adminClusters(t *testing.T, s *adminScript) {
	clusters, name := s.Clusters(), newName("cluster")
	path := "/admin/v2/clusters/" + name
	data := utils.ClusterData{Name: name, ServiceURL: "http://one:8080", BrokerServiceURL: "pulsar://one:6650"}
	check(t, clusters.Create(data))
	listed(t, must[[]string](t)(clusters.List()), name, true, "clusters")
	equal(t, restJSON[utils.ClusterData](t, path).ServiceURL, "http://one:8080", "created serviceUrl")
	equal(t, must[utils.ClusterData](t)(clusters.Get(name)).BrokerServiceURL, "pulsar://one:6650", "brokerServiceUrl")
	refusal(t, clusters.Create(data), 409, "already exist")

	data.ServiceURL = "http://two:8080"
	check(t, clusters.Update(data))
	equal(t, restJSON[utils.ClusterData](t, path).ServiceURL, "http://two:8080", "updated serviceUrl")

	same(t, must[[]string](t)(clusters.GetPeerClusters(name)), []string(nil), "peers before")
	check(t, clusters.UpdatePeerClusters(name, []string{thisCluster}))
	same(t, must[[]string](t)(clusters.GetPeerClusters(name)), []string{thisCluster}, "peers")
	same(t, restJSON[utils.ClusterData](t, path).PeerClusterNames, []string{thisCluster}, "peers in the cluster's data")
	refusal(t, clusters.UpdatePeerClusters(name, []string{"not-there"}), 412, "not-there")

	failureDomains(t, s, name)

	check(t, clusters.Delete(name))
	listed(t, must[[]string](t)(clusters.List()), name, false, "clusters")
	_, err := clusters.Get(name)
	refusal(t, err, 404, "")
	s.checked("Clusters", "Create", "List", "Get", "Update", "GetPeerClusters", "UpdatePeerClusters", "Delete")
}

func failureDomains(t *testing.T, s *adminScript, cluster string) {
	clusters, path := s.Clusters(), "/admin/v2/clusters/"+cluster+"/failureDomains"
	domain := utils.FailureDomainData{ClusterName: cluster, DomainName: "d", BrokerList: []string{"one", "two"}}
	check(t, clusters.CreateFailureDomain(domain))
	got := must[utils.FailureDomainData](t)(clusters.GetFailureDomain(cluster, "d"))
	same(t, got.BrokerList, []string{"one", "two"}, "brokers of the domain")
	same(t, restJSON[utils.FailureDomainData](t, path+"/d").BrokerList, got.BrokerList, "the same by REST")
	domain.BrokerList = []string{"three"}
	check(t, clusters.UpdateFailureDomain(domain))
	domains := must[utils.FailureDomainMap](t)(clusters.ListFailureDomains(cluster))
	same(t, domains, utils.FailureDomainMap{"d": {BrokerList: []string{"three"}}}, "domains")
	check(t, clusters.DeleteFailureDomain(domain))
	equal(t, len(restJSON[utils.FailureDomainMap](t, path)), 0, "domains that are left")
	s.checked("Clusters", "CreateFailureDomain", "GetFailureDomain", "UpdateFailureDomain", "ListFailureDomains",
		"DeleteFailureDomain")
}

func adminTenants(t *testing.T, s *adminScript) {
	tenants, name := s.Tenants(), newName("tenant")
	data := utils.TenantData{Name: name, AdminRoles: []string{"one"}, AllowedClusters: []string{thisCluster}}
	check(t, tenants.Create(data))
	listed(t, must[[]string](t)(tenants.List()), name, true, "tenants")
	listed(t, restJSON[[]string](t, "/admin/v2/tenants"), name, true, "tenants by REST")
	same(t, restJSON[utils.TenantData](t, "/admin/v2/tenants/"+name).AdminRoles, []string{"one"}, "roles")
	refusal(t, tenants.Create(data), 409, "already exist")

	data.AdminRoles = []string{"three", "two"}
	check(t, tenants.Update(data))
	got := must[utils.TenantData](t)(tenants.Get(name))
	same(t, got.AdminRoles, []string{"three", "two"}, "updated roles")
	same(t, got.AllowedClusters, []string{thisCluster}, "clusters")

	check(t, s.Namespaces().CreateNamespace(name+"/n"))
	refusal(t, tenants.Delete(name), 409, "")
	check(t, s.Namespaces().DeleteNamespace(name+"/n"))
	check(t, tenants.Delete(name))
	listed(t, must[[]string](t)(tenants.List()), name, false, "tenants")
	_, err := tenants.Get(name)
	refusal(t, err, 404, "")
	s.checked("Tenants", "Create", "List", "Get", "Update", "Delete")
}

func adminIsolation(t *testing.T, s *adminScript) {
	policies, cluster, tenant := s.NsIsolationPolicy(), newName("cluster"), s.newTenant(t)
	check(t, s.Clusters().Create(utils.ClusterData{Name: cluster, ServiceURL: "http://one:8080"}))
	want := utils.NamespaceIsolationData{
		Namespaces: []string{tenant + "/.*"}, Primary: []string{"localhost.*"}, Secondary: []string{"other.*"},
		AutoFailoverPolicy: utils.AutoFailoverPolicyData{
			PolicyType: utils.MinAvailable,
			Parameters: map[string]string{"min_limit": "1", "usage_threshold": "90"},
		},
	}
	path := "/admin/v2/clusters/" + cluster + "/namespaceIsolationPolicies"
	check(t, policies.CreateNamespaceIsolationPolicy(cluster, "p", want))
	got := must[*utils.NamespaceIsolationData](t)(policies.GetNamespaceIsolationPolicy(cluster, "p"))
	same(t, *got, want, "policy")
	same(t, restJSON[utils.NamespaceIsolationData](t, path+"/p"), want, "policy by REST")
	all := must[map[string]utils.NamespaceIsolationData](t)(policies.GetNamespaceIsolationPolicies(cluster))
	same(t, all, map[string]utils.NamespaceIsolationData{"p": want}, "policies")

	brokers := must[[]utils.BrokerNamespaceIsolationData](t)(policies.GetBrokersWithNamespaceIsolationPolicy(cluster))
	equal(t, len(brokers), 1, "brokers with a policy")
	equal(t, brokers[0].PolicyName, "p", "policy of the broker")
	// Pulsar's brokers say `primary`, where the library looks for `isPrimary`.
	equal(t, restJSON[[]map[string]any](t, path+"/brokers")[0]["primary"], true, "primary by REST")
	same(t, brokers[0].NamespaceRegex, want.Namespaces, "namespaces of the broker")
	broker := must[*utils.BrokerNamespaceIsolationData](t)(
		policies.GetBrokerWithNamespaceIsolationPolicy(cluster, brokers[0].BrokerName))
	same(t, *broker, brokers[0], "the broker alone")

	refusal(t, s.Clusters().Delete(cluster), 412, "")
	check(t, policies.DeleteNamespaceIsolationPolicy(cluster, "p"))
	equal(t, len(restJSON[map[string]any](t, path)), 0, "policies that are left")
	check(t, s.Clusters().Delete(cluster))
	s.checked("NsIsolationPolicy", "CreateNamespaceIsolationPolicy", "GetNamespaceIsolationPolicy",
		"GetNamespaceIsolationPolicies", "GetBrokersWithNamespaceIsolationPolicy",
		"GetBrokerWithNamespaceIsolationPolicy", "DeleteNamespaceIsolationPolicy")
}

func adminResourceQuotas(t *testing.T, s *adminScript) {
	quotas, namespace := s.ResourceQuotas(), s.newNamespace(t)
	initial := *must[*utils.ResourceQuota](t)(quotas.GetDefaultResourceQuota())
	changed := initial
	changed.MsgRateIn++
	t.Cleanup(func() { check(t, quotas.SetDefaultResourceQuota(initial)) })
	check(t, quotas.SetDefaultResourceQuota(changed))
	same(t, *must[*utils.ResourceQuota](t)(quotas.GetDefaultResourceQuota()), changed, "default quota")
	same(t, restJSON[utils.ResourceQuota](t, "/admin/v2/resource-quotas"), changed, "default quota by REST")

	const bundle = "0x00000000_0x40000000"
	of := func() utils.ResourceQuota {
		return *must[*utils.ResourceQuota](t)(quotas.GetNamespaceBundleResourceQuota(namespace.String(), bundle))
	}
	same(t, of(), changed, "a bundle's quota is the default")
	own := utils.ResourceQuota{MsgRateIn: 1, MsgRateOut: 2, BandwidthIn: 3, BandwidthOut: 4, Memory: 5}
	check(t, quotas.SetNamespaceBundleResourceQuota(namespace.String(), bundle, own))
	same(t, of(), own, "bundle's quota")
	path := "/admin/v2/resource-quotas/" + namespace.String() + "/" + bundle
	same(t, restJSON[utils.ResourceQuota](t, path), own, "bundle's quota by REST")
	check(t, quotas.ResetNamespaceBundleResourceQuota(namespace.String(), bundle))
	same(t, of(), changed, "bundle's quota when it is reset")
	s.checked("ResourceQuotas", "GetDefaultResourceQuota", "SetDefaultResourceQuota",
		"GetNamespaceBundleResourceQuota", "SetNamespaceBundleResourceQuota", "ResetNamespaceBundleResourceQuota")
}
