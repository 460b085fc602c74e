package geminga;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.pulsar.client.admin.Brokers;
import org.apache.pulsar.client.admin.Clusters;
import org.apache.pulsar.client.admin.Namespaces;
import org.apache.pulsar.client.admin.PulsarAdminException;
import org.apache.pulsar.common.policies.data.AuthAction;
import org.apache.pulsar.common.policies.data.AutoFailoverPolicyData;
import org.apache.pulsar.common.policies.data.AutoFailoverPolicyType;
import org.apache.pulsar.common.policies.data.BookieAffinityGroupData;
import org.apache.pulsar.common.policies.data.BookieInfo;
import org.apache.pulsar.common.policies.data.ClusterData;
import org.apache.pulsar.common.policies.data.FailureDomain;
import org.apache.pulsar.common.policies.data.NamespaceIsolationData;
import org.apache.pulsar.common.policies.data.ResourceGroup;
import org.apache.pulsar.common.policies.data.ResourceQuota;
import org.apache.pulsar.common.policies.data.SubscriptionAuthMode;
import org.apache.pulsar.common.policies.data.TenantInfo;
import org.junit.jupiter.api.Test;

/** Brokers, clusters, bookies, quotas, permissions: what the admin client sets it reads again. */
class ClusterAdminTest extends Namespace {
    private static String broker() throws PulsarAdminException {
        return admin.brokers().getLeaderBroker().getBrokerId();
    }

    @Test
    void keysAreSetWhileTheBrokerRuns() throws Exception {
        Brokers brokers = admin.brokers();
        String key = "maxPublishRatePerTopicInMessages";
        assertTrue(brokers.getDynamicConfigurationNames().contains(key));
        assertEquals("0", brokers.getRuntimeConfigurations().get(key));
        brokers.updateDynamicConfiguration(key, "700000");
        assertEquals("700000", brokers.getAllDynamicConfigurations().get(key));
        assertEquals("700000", brokers.getRuntimeConfigurations().get(key));
        brokers.deleteDynamicConfiguration(key);
        assertNull(brokers.getAllDynamicConfigurations().get(key));
        assertThrows(
                PulsarAdminException.PreconditionFailedException.class,
                () -> brokers.updateDynamicConfiguration("webServicePort", "1"));
    }

    @Test
    void aBrokerTellsWhatItHasAndDoes() throws Exception {
        sendNumbers(0, 1);
        Brokers brokers = admin.brokers();
        String bundle = admin.lookups().getBundleRange(topic);
        var owned = brokers.getOwnedNamespaces("standalone", broker());
        assertTrue(owned.get(namespace + "/" + bundle).is_active);
        assertEquals("/ledgers", brokers.getInternalConfigurationData().getLedgersRootPath());
        brokers.backlogQuotaCheck();
        assertTrue(admin.brokerStats().getTopics().contains(topic));
        assertTrue(admin.brokerStats().getMetrics().contains("standalone"));
        assertEquals("[]", admin.brokerStats().getMBeans());
        assertTrue(admin.brokerStats().getLoadReport().getBundleStats() != null);
        admin.namespaces().unloadNamespaceBundle(namespace, bundle);
        sendNumbers(1, 2);
    }

    @Test
    void partsOfClustersComeAndGo() throws Exception {
        Clusters clusters = admin.clusters();
        clusters.createCluster("elsewhere", ClusterData.builder().serviceUrl("http://e:1").build());
        clusters.updatePeerClusterNames("elsewhere", new LinkedHashSet<>(Set.of("standalone")));
        assertEquals(Set.of("standalone"), clusters.getPeerClusterNames("elsewhere"));
        assertTrue(!clusters.getClusterMigration("elsewhere").isMigrated());

        FailureDomain domain = FailureDomain.builder().brokers(Set.of("b:8080")).build();
        clusters.createFailureDomain("elsewhere", "d", domain);
        assertEquals(domain.getBrokers(), clusters.getFailureDomain("elsewhere", "d").getBrokers());
        assertEquals(Set.of("d"), clusters.getFailureDomains("elsewhere").keySet());
        clusters.deleteFailureDomain("elsewhere", "d");

        NamespaceIsolationData policy = NamespaceIsolationData.builder()
                .namespaces(List.of("a/.*")).primary(List.of(".*")).secondary(List.of())
                .autoFailoverPolicy(AutoFailoverPolicyData.builder()
                        .policyType(AutoFailoverPolicyType.min_available)
                        .parameters(Map.of("min_limit", "1", "usage_threshold", "80")).build())
                .build();
        clusters.createNamespaceIsolationPolicy("elsewhere", "p", policy);
        NamespaceIsolationData found = clusters.getNamespaceIsolationPolicy("elsewhere", "p");
        assertEquals(policy.getNamespaces(), found.getNamespaces());
        assertEquals(Set.of("p"), clusters.getNamespaceIsolationPolicies("elsewhere").keySet());
        var isolated = clusters.getBrokersWithNamespaceIsolationPolicy("elsewhere").get(0);
        assertEquals(broker(), isolated.getBrokerName());
        assertTrue(isolated.isPrimary());
        assertEquals(
                "p", clusters.getBrokerWithNamespaceIsolationPolicy("elsewhere", "b:1").getPolicyName());
        clusters.deleteNamespaceIsolationPolicy("elsewhere", "p");
        clusters.deleteCluster("elsewhere");
    }

    @Test
    void bookiesQuotasAndGroupsComeAndGo() throws Exception {
        String bookie = admin.bookies().getBookies().getBookies().iterator().next().getBookieId();
        BookieInfo rack = BookieInfo.builder().rack("/r").hostname("h").build();
        admin.bookies().updateBookieRackInfo(bookie, "g", rack);
        assertEquals("/r", admin.bookies().getBookieRackInfo(bookie).getRack());
        assertTrue(admin.bookies().getBookiesRackInfo().get("g").containsKey(bookie));
        admin.bookies().deleteBookieRackInfo(bookie);

        String bundle = "0x00000000_0x40000000";
        ResourceQuota quota = admin.resourceQuotas().getDefaultResourceQuota();
        quota.setMsgRateIn(7);
        admin.resourceQuotas().setNamespaceBundleResourceQuota(namespace, bundle, quota);
        assertEquals(
                7, admin.resourceQuotas().getNamespaceBundleResourceQuota(namespace, bundle).getMsgRateIn());
        admin.resourceQuotas().resetNamespaceBundleResourceQuota(namespace, bundle);

        ResourceGroup group = new ResourceGroup();
        group.setPublishRateInMsgs(7);
        admin.resourcegroups().createResourceGroup("g", group);
        assertEquals(7, admin.resourcegroups().getResourceGroup("g").getPublishRateInMsgs());
        admin.namespaces().setNamespaceResourceGroup(namespace, "g");
        assertEquals("g", admin.namespaces().getNamespaceResourceGroup(namespace));
        admin.namespaces().removeNamespaceResourceGroup(namespace);
        assertEquals("", admin.namespaces().getNamespaceResourceGroup(namespace));
        admin.resourcegroups().deleteResourceGroup("g");
    }

    @Test
    void permissionsAndPropertiesComeBack() throws Exception {
        Namespaces namespaces = admin.namespaces();
        Set<AuthAction> both = Set.of(AuthAction.produce, AuthAction.consume);
        namespaces.grantPermissionOnNamespace(namespace, "alice", both);
        assertEquals(Map.of("alice", both), namespaces.getPermissions(namespace));
        admin.topics().grantPermission(topic, "bob", Set.of(AuthAction.consume));
        assertEquals(
                Map.of("alice", both, "bob", Set.of(AuthAction.consume)),
                admin.topics().getPermissions(topic));
        admin.topics().revokePermissions(topic, "bob");
        namespaces.revokePermissionsOnNamespace(namespace, "alice");
        assertEquals(Map.of(), admin.topics().getPermissions(topic));
        namespaces.grantPermissionOnSubscription(namespace, "s", Set.of("alice", "bob"));
        namespaces.revokePermissionOnSubscription(namespace, "s", "bob");
        assertEquals(Map.of("s", Set.of("alice")), namespaces.getPermissionOnSubscription(namespace));

        namespaces.setProperty(namespace, "k", "v");
        namespaces.setProperties(namespace, Map.of("a", "b"));
        assertEquals("v", namespaces.getProperty(namespace, "k"));
        assertEquals("v", namespaces.removeProperty(namespace, "k"));
        assertEquals(Map.of("a", "b"), namespaces.getProperties(namespace));
        namespaces.clearProperties(namespace);
        assertNull(namespaces.getProperty(namespace, "a"));
    }

    @Test
    void placementOfANamespaceComesBack() throws Exception {
        Namespaces namespaces = admin.namespaces();
        assertEquals(List.of("standalone"), namespaces.getNamespaceReplicationClusters(namespace));
        namespaces.setNamespaceReplicationClusters(namespace, Set.of("standalone"));
        assertThrows(
                PulsarAdminException.NotAuthorizedException.class,
                () -> namespaces.setNamespaceReplicationClusters(namespace, Set.of("nowhere")));
        namespaces.setNamespaceAntiAffinityGroup(namespace, "apart");
        assertEquals("apart", namespaces.getNamespaceAntiAffinityGroup(namespace));
        assertEquals(
                List.of(namespace), namespaces.getAntiAffinityNamespaces("public", "standalone", "apart"));
        namespaces.deleteNamespaceAntiAffinityGroup(namespace);
        assertEquals("", namespaces.getNamespaceAntiAffinityGroup(namespace));
        BookieAffinityGroupData group =
                BookieAffinityGroupData.builder().bookkeeperAffinityGroupPrimary("g").build();
        namespaces.setBookieAffinityGroup(namespace, group);
        assertEquals(
                "g", namespaces.getBookieAffinityGroup(namespace).getBookkeeperAffinityGroupPrimary());
        namespaces.deleteBookieAffinityGroup(namespace);
        assertEquals(SubscriptionAuthMode.None, namespaces.getSubscriptionAuthMode(namespace));
        namespaces.setSubscriptionAuthMode(namespace, SubscriptionAuthMode.Prefix);
        assertEquals(SubscriptionAuthMode.Prefix, namespaces.getSubscriptionAuthMode(namespace));
        namespaces.splitNamespaceBundle(namespace, "0x00000000_0x40000000", false, null);
        assertTrue(namespaces.getBundles(namespace).getBoundaries().contains("0x20000000"));
    }

    @Test
    void aTenantNamesItsClusters() throws Exception {
        String tenant = namespace.substring(namespace.indexOf('/') + 1);
        assertThrows(
                PulsarAdminException.PreconditionFailedException.class,
                () -> admin.tenants().createTenant(tenant, TenantInfo.builder().build()));
        TenantInfo info = TenantInfo.builder()
                .adminRoles(Set.of("a")).allowedClusters(Set.of("standalone")).build();
        admin.tenants().createTenant(tenant, info);
        assertEquals(info, admin.tenants().getTenantInfo(tenant));
        admin.namespaces().createNamespace(tenant + "/n");
        assertThrows(
                PulsarAdminException.ConflictException.class,
                () -> admin.tenants().deleteTenant(tenant));
        admin.tenants().deleteTenant(tenant, true);
    }
}
