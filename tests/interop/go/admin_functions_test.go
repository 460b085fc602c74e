package interop

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/pulsar-client-go/pulsaradmin/pkg/utils"
)

// What Pulsar's brokers say while functions are off, and while packages are.
const (
	functionsAreOff = "Pulsar Function Worker is not enabled, probably functionsWorkerEnabled is set to false"
	packagesAreOff  = "Package Management Service is not enabled in the broker."
)

// A request about a function or a connector, by its tenant, namespace and name; and about one instance of it.
type (
	ofOne      = func(tenant, namespace, name string) error
	ofInstance = func(tenant, namespace, name string, id int) error
)

func asking[T any](get func(tenant, namespace, name string) (T, error)) ofOne {
	return func(tenant, namespace, name string) error {
		_, err := get(tenant, namespace, name)
		return err
	}
}

func askingInstance[T any](get func(tenant, namespace, name string, id int) (T, error)) ofInstance {
	return func(tenant, namespace, name string, id int) error {
		_, err := get(tenant, namespace, name, id)
		return err
	}
}

// Drops what a request answers beside its error.
func failing[T any](_ T, err error) error { return err }

// Checks that each method's error says that the service is off.
func off(t *testing.T, s *adminScript, of string, status int, reason string, methods map[string]error) {
	t.Helper()
	for name, err := range methods {
		t.Run(name, func(t *testing.T) {
			refusal(t, err, status, reason)
			s.wasRefused(of, name)
		})
	}
}

func allOff(t *testing.T, s *adminScript, of string, one map[string]ofOne, instance map[string]ofInstance) {
	t.Helper()
	errs := map[string]error{}
	for name, ask := range one {
		errs[name] = ask("public", "default", "f")
	}
	for name, ask := range instance {
		errs[name] = ask("public", "default", "f", 0)
	}
	off(t, s, of, 409, functionsAreOff, errs)
}

func adminFunctions(t *testing.T, s *adminScript) {
	f, file := s.v3.Functions(), filepath.Join(t.TempDir(), "function.py")
	check(t, os.WriteFile(file, []byte("def process(x): return x"), 0o600))
	allOff(t, s, "Functions", map[string]ofOne{
		"StartFunction": f.StartFunction, "StopFunction": f.StopFunction, "RestartFunction": f.RestartFunction,
		"DeleteFunction": f.DeleteFunction, "GetFunction": asking(f.GetFunction),
		"GetFunctionStatus": asking(f.GetFunctionStatus), "GetFunctionStats": asking(f.GetFunctionStats),
	}, map[string]ofInstance{
		"StartFunctionWithID": f.StartFunctionWithID, "StopFunctionWithID": f.StopFunctionWithID,
		"RestartFunctionWithID":           f.RestartFunctionWithID,
		"GetFunctionStatusWithInstanceID": askingInstance(f.GetFunctionStatusWithInstanceID),
		"GetFunctionStatsWithInstanceID":  askingInstance(f.GetFunctionStatsWithInstanceID),
	})
	function := &utils.FunctionConfig{Tenant: "public", Namespace: "default", Name: "f"}
	options, url := utils.NewUpdateOptions(), "function://public/default/f@v1"
	state := utils.FunctionState{Key: "key", StringValue: "v"}
	off(t, s, "Functions", 409, functionsAreOff, map[string]error{
		"CreateFunc":            f.CreateFunc(function, file),
		"CreateFuncWithURL":     f.CreateFuncWithURL(function, url),
		"UpdateFunction":        f.UpdateFunction(function, file, options),
		"UpdateFunctionWithURL": f.UpdateFunctionWithURL(function, url, options),
		"Upload":                f.Upload(file, "path"),
		"DownloadFunction":      f.DownloadFunction("path", filepath.Join(t.TempDir(), "a")),
		"DownloadFunctionByNs":  f.DownloadFunctionByNs(filepath.Join(t.TempDir(), "b"), "public", "default", "f"),
		"GetFunctions":          failing(f.GetFunctions("public", "default")),
		"GetFunctionState":      failing(f.GetFunctionState("public", "default", "f", "key")),
		"PutFunctionState":      f.PutFunctionState("public", "default", "f", state),
		"TriggerFunction":       failing(f.TriggerFunction("public", "default", "f", "topic", "value", "")),
	})
	w := s.FunctionsWorker()
	off(t, s, "FunctionsWorker", 409, functionsAreOff, map[string]error{
		"GetFunctionsStats": failing(w.GetFunctionsStats()), "GetMetrics": failing(w.GetMetrics()),
		"GetCluster": failing(w.GetCluster()), "GetClusterLeader": failing(w.GetClusterLeader()),
		"GetAssignments": failing(w.GetAssignments()),
	})
}

func adminConnectors(t *testing.T, s *adminScript) {
	sources, sinks, options := s.v3.Sources(), s.v3.Sinks(), utils.NewUpdateOptions()
	file, url := filepath.Join(t.TempDir(), "connector.nar"), "source://public/default/c@v1"
	check(t, os.WriteFile(file, []byte("connector"), 0o600))
	allOff(t, s, "Sources", map[string]ofOne{
		"StartSource": sources.StartSource, "StopSource": sources.StopSource, "RestartSource": sources.RestartSource,
		"DeleteSource": sources.DeleteSource, "GetSource": asking(sources.GetSource),
		"GetSourceStatus": asking(sources.GetSourceStatus),
	}, map[string]ofInstance{
		"StartSourceWithID": sources.StartSourceWithID, "StopSourceWithID": sources.StopSourceWithID,
		"RestartSourceWithID":   sources.RestartSourceWithID,
		"GetSourceStatusWithID": askingInstance(sources.GetSourceStatusWithID),
	})
	source := &utils.SourceConfig{Tenant: "public", Namespace: "default", Name: "c"}
	off(t, s, "Sources", 409, functionsAreOff, map[string]error{
		"ListSources":          failing(sources.ListSources("public", "default")),
		"CreateSource":         sources.CreateSource(source, file),
		"CreateSourceWithURL":  sources.CreateSourceWithURL(source, url),
		"UpdateSource":         sources.UpdateSource(source, file, options),
		"UpdateSourceWithURL":  sources.UpdateSourceWithURL(source, url, options),
		"GetBuiltInSources":    failing(sources.GetBuiltInSources()),
		"ReloadBuiltInSources": sources.ReloadBuiltInSources(),
	})
	allOff(t, s, "Sinks", map[string]ofOne{
		"StartSink": sinks.StartSink, "StopSink": sinks.StopSink, "RestartSink": sinks.RestartSink,
		"DeleteSink": sinks.DeleteSink, "GetSink": asking(sinks.GetSink), "GetSinkStatus": asking(sinks.GetSinkStatus),
	}, map[string]ofInstance{
		"StartSinkWithID": sinks.StartSinkWithID, "StopSinkWithID": sinks.StopSinkWithID,
		"RestartSinkWithID": sinks.RestartSinkWithID, "GetSinkStatusWithID": askingInstance(sinks.GetSinkStatusWithID),
	})
	sink := &utils.SinkConfig{Tenant: "public", Namespace: "default", Name: "c"}
	off(t, s, "Sinks", 409, functionsAreOff, map[string]error{
		"ListSinks":          failing(sinks.ListSinks("public", "default")),
		"CreateSink":         sinks.CreateSink(sink, file),
		"CreateSinkWithURL":  sinks.CreateSinkWithURL(sink, url),
		"UpdateSink":         sinks.UpdateSink(sink, file, options),
		"UpdateSinkWithURL":  sinks.UpdateSinkWithURL(sink, url, options),
		"GetBuiltInSinks":    failing(sinks.GetBuiltInSinks()),
		"ReloadBuiltInSinks": sinks.ReloadBuiltInSinks(),
	})
}

func adminPackages(t *testing.T, s *adminScript) {
	p, url, file := s.v3.Packages(), "function://public/default/f@v1", filepath.Join(t.TempDir(), "package")
	check(t, os.WriteFile(file, []byte("package"), 0o600))
	off(t, s, "Packages", 503, packagesAreOff, map[string]error{
		"Upload":         p.Upload(url, file, "description", "contact", nil),
		"Download":       p.Download(url, filepath.Join(t.TempDir(), "a")),
		"Delete":         p.Delete(url),
		"List":           failing(p.List("function", "public/default")),
		"ListVersions":   failing(p.ListVersions(url)),
		"GetMetadata":    failing(p.GetMetadata(url)),
		"UpdateMetadata": p.UpdateMetadata(url, "description", "contact", nil),
	})
}
