// The operations of the official Go library for administration, `pulsaradmin`.
//
// TestAdmin is one script in parts. An operation is a method of one of the library's interfaces; it
// counts when the library has sent a request for it (what sends notes whose method asked) and the
// script has checked its effect by another way: by another method, by the REST path itself or with
// the Go client. Every method must be checked, or be in `leftOut` with the reason.
package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/pulsar-client-go/pulsaradmin"
	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/admin"
	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/admin/config"
	adminrest "github.com/apache/pulsar-client-go/pulsaradmin/pkg/rest"
	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/utils"
)

// At least so many operations are served, not counting those that say that they are switched off.
const servedMin = 150

// Operations that the script does not check, and why.
var leftOut = map[string]string{}

func TestAdmin(t *testing.T) {
	script := newAdminScript(t)
	parts := []struct {
		name string
		run  func(*testing.T, *adminScript)
	}{
		{"clusters", adminClusters}, {"tenants", adminTenants}, {"isolation", adminIsolation},
		{"resource quotas", adminResourceQuotas}, {"brokers", adminBrokers},
		{"dynamic configuration", adminDynamicConfiguration}, {"broker stats", adminBrokerStats},
		{"namespace life", adminNamespaceLife}, {"namespace policies", adminNamespacePolicies},
		{"backlog quotas", adminBacklogQuotas}, {"placement", adminNamespacePlacement},
		{"namespace properties", adminNamespaceProperties}, {"namespace permissions", adminNamespacePermissions},
		{"namespace rules", adminNamespaceRules}, {"rules", adminRules}, {"namespace backlogs", adminNamespaceBacklogs},
		{"bundles", adminBundles},
		{"topic policies", adminTopicPolicies}, {"scoped policies", adminScopedPolicies},
		{"topic backlog quotas", adminTopicBacklogQuotas},
		{"topic life", adminTopicLife}, {"topic place", adminTopicPlace}, {"topic stats", adminTopicStats},
		{"topic work", adminTopicWork}, {"subscriptions", adminSubscriptions}, {"cursors", adminCursors},
		{"messages", adminMessages}, {"schemas", adminSchemas},
		{"functions", adminFunctions}, {"connectors", adminConnectors}, {"packages", adminPackages},
	}
	ran := 0
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			part.run(t, script)
			ran++
		})
	}
	if ran == len(parts) { // Else some were deselected, or failed and said so.
		script.end(t)
	}
}

// Clients for administration, and the record of what was asked and checked.
type adminScript struct {
	admin.Client
	v3       admin.Client // Functions, connectors and packages are of version 3.
	policies admin.TopicPolicies
	global   admin.TopicPolicies // For all clusters.

	mutex   sync.Mutex
	asked   map[string]bool
	served  map[string]bool
	refused map[string]bool
}

func newAdminScript(t *testing.T) *adminScript {
	t.Helper()
	script := &adminScript{asked: map[string]bool{}, served: map[string]bool{}, refused: map[string]bool{}}
	client := func(version config.APIVersion) admin.Client {
		return must[admin.Client](t)(admin.NewPulsarClientWithAuthProvider(
			&pulsaradmin.Config{WebServiceURL: os.Getenv("PULSAR_WEB"), PulsarAPIVersion: version},
			&noting{script},
		))
	}
	script.Client, script.v3 = client(config.V2), client(config.V3)
	script.policies = must[admin.TopicPolicies](t)(pulsaradmin.TopicPoliciesOf(script.Client, false))
	script.global = must[admin.TopicPolicies](t)(pulsaradmin.TopicPoliciesOf(script.Client, true))
	return script
}

// Says that the effects of these methods of an interface have been seen.
func (s *adminScript) checked(of string, methods ...string) { s.note(s.served, of, methods) }

// Says that these methods were refused as they must be.
func (s *adminScript) wasRefused(of string, methods ...string) { s.note(s.refused, of, methods) }

func (s *adminScript) note(in map[string]bool, of string, methods []string) {
	for _, method := range methods {
		in[of+"."+method] = true
	}
}

// Compares the record with the library's interfaces.
func (s *adminScript) end(t *testing.T) {
	t.Helper()
	known := map[string]bool{}
	for _, name := range operations() {
		known[name] = true
		_, left := leftOut[name]
		switch done := s.served[name] || s.refused[name]; {
		case done && left:
			t.Errorf("%s is checked and left out", name)
		case done && !s.asked[name]:
			t.Errorf("%s was never asked for", name)
		case !done && !left:
			t.Errorf("%s is neither checked nor left out", name)
		}
	}
	for _, record := range []map[string]bool{s.served, s.refused} {
		for name := range record {
			if !known[name] {
				t.Errorf("the library has no %s", name)
			}
		}
	}
	if len(s.served) < servedMin {
		t.Errorf("%d operations were served and checked, at least %d must be", len(s.served), servedMin)
	}
	fmt.Printf("%d operations of pulsaradmin: %d served and checked, %d refused and checked, %d left out\n",
		len(known), len(s.served), len(s.refused), len(leftOut))
}

// The library's interfaces, by the name that the client gives them.
var interfaces = map[string]reflect.Type{
	"BrokerStats": reflect.TypeFor[admin.BrokerStats](), "Brokers": reflect.TypeFor[admin.Brokers](),
	"Clusters": reflect.TypeFor[admin.Clusters](), "Functions": reflect.TypeFor[admin.Functions](),
	"FunctionsWorker":   reflect.TypeFor[admin.FunctionsWorker](),
	"Namespaces":        reflect.TypeFor[admin.Namespaces](),
	"NsIsolationPolicy": reflect.TypeFor[admin.NsIsolationPolicy](),
	"Packages":          reflect.TypeFor[admin.Packages](),
	"ResourceQuotas":    reflect.TypeFor[admin.ResourceQuotas](),
	"Schemas":           reflect.TypeFor[admin.Schema](), "Sinks": reflect.TypeFor[admin.Sinks](),
	"Sources": reflect.TypeFor[admin.Sources](), "Subscriptions": reflect.TypeFor[admin.Subscriptions](),
	"Tenants": reflect.TypeFor[admin.Tenants](), "TopicPolicies": reflect.TypeFor[admin.TopicPolicies](),
	"Topics": reflect.TypeFor[admin.Topics](),
}

// The interface of each of the library's types that implement one.
var implementations = map[string]string{
	"broker": "Brokers", "brokerStats": "BrokerStats", "clusters": "Clusters", "functions": "Functions",
	"worker": "FunctionsWorker", "namespaces": "Namespaces", "nsIsolationPolicy": "NsIsolationPolicy",
	"packages": "Packages", "resource": "ResourceQuotas", "schemas": "Schemas", "sinks": "Sinks",
	"sources": "Sources", "subscriptions": "Subscriptions", "tenants": "Tenants",
	"topicPolicies": "TopicPolicies", "topics": "Topics",
}

// All methods, in order. `…WithContext` is the same operation once more.
func operations() []string {
	var names []string
	for of, methods := range interfaces {
		for n := range methods.NumMethod() {
			if name := methods.Method(n).Name; !strings.HasSuffix(name, "WithContext") {
				names = append(names, of+"."+name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// Sends requests, and notes which method of the library was asked for each.
type noting struct{ script *adminScript }

func (n *noting) RoundTrip(request *http.Request) (*http.Response, error) {
	n.script.mutex.Lock()
	n.script.asked[askedMethod()] = true
	n.script.mutex.Unlock()
	return http.DefaultTransport.RoundTrip(request)
}

func (*noting) Transport() http.RoundTripper      { return http.DefaultTransport }
func (*noting) WithTransport(_ http.RoundTripper) {}

var methodInStack = regexp.MustCompile(`/pulsaradmin/pkg/admin\.\(?\*?(\w+)\)?\.(\w+)$`)

// The library's outermost method on the stack.
func askedMethod() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	asked := ""
	for {
		frame, more := frames.Next()
		if found := methodInStack.FindStringSubmatch(frame.Function); found != nil {
			method := strings.TrimSuffix(found[2], "WithContext")
			if method == "getTopics" { // List asks from four goroutines.
				method = "List"
			}
			asked = implementations[found[1]] + "." + method
		}
		if !more {
			return asked
		}
	}
}

// The reason for which a request must have been refused with the status.
func refusal(t *testing.T, err error, status int, reason string) {
	t.Helper()
	refused, ok := err.(adminrest.Error)
	if !ok {
		t.Fatalf("not a refusal: %v", err)
	}
	equal(t, refused.Code, status, "status")
	if !strings.Contains(refused.Reason, reason) {
		t.Fatalf("reason: got %q, want %q", refused.Reason, reason)
	}
}

// The error, unless it says that the same is going on.
func ignoringConflict(err error) error {
	if refused, ok := err.(adminrest.Error); ok && refused.Code == http.StatusConflict {
		return nil
	}
	return err
}

// Fails unless the values are deeply equal.
func same(t *testing.T, got, want any, what string) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: got %+v, want %+v", what, got, want)
	}
}

// Fails unless the list has the name, or must not and has not.
func listed(t *testing.T, list []string, name string, want bool, what string) {
	t.Helper()
	if slices.Contains(list, name) != want {
		t.Fatalf("%s: %q in %v: want %v", what, name, list, want)
	}
}

// A new namespace of a new tenant.
func (s *adminScript) newNamespace(t *testing.T) utils.NameSpaceName {
	t.Helper()
	tenant := s.newTenant(t)
	check(t, s.Namespaces().CreateNamespace(tenant+"/n"))
	return *must[*utils.NameSpaceName](t)(utils.GetNamespaceName(tenant + "/n"))
}

// A new tenant, which may use this cluster.
func (s *adminScript) newTenant(t *testing.T) string {
	t.Helper()
	tenant := newName("tenant")
	check(t, s.Tenants().Create(utils.TenantData{Name: tenant, AllowedClusters: []string{thisCluster}}))
	return tenant
}

// A new topic without partitions in a new namespace.
func (s *adminScript) newAdminTopic(t *testing.T) utils.TopicName {
	t.Helper()
	namespace := s.newNamespace(t)
	topic := topicOf(t, namespace, "t")
	check(t, s.Topics().Create(topic, 0))
	return topic
}

var names int

// A name that nothing else has.
func newName(of string) string {
	names++
	return fmt.Sprintf("go-%s-%d-%d", of, os.Getpid(), names)
}

// What REST answers at the path, read as JSON.
func restJSON[T any](t *testing.T, path string) T {
	t.Helper()
	var value T
	check(t, json.Unmarshal(rest(t, "GET", path, ""), &value))
	return value
}

func topicOf(t *testing.T, namespace utils.NameSpaceName, name string) utils.TopicName {
	t.Helper()
	return *must[*utils.TopicName](t)(utils.GetTopicName("persistent://" + namespace.String() + "/" + name))
}
