package interop

import (
	"encoding/json"
	"reflect"
	"testing"
)

// Checks one setting of a namespace or a topic, whose REST path the last argument is.
type settingCheck[On any] func(t *testing.T, s *adminScript, on On, base string)

// The methods Set<name>, Get<name> and Remove<name> of an interface, and the path of the same setting by REST.
// The value must not be the one in force before. Without `remove` the setting stays.
func setting[On, T any](
	of, name, path string, set func(On, T) error, get func(On) (T, error), remove func(On) error, value T,
) settingCheck[On] {
	return func(t *testing.T, s *adminScript, on On, base string) {
		t.Run(name, func(t *testing.T) {
			before, restBefore := must[T](t)(get(on)), string(rest(t, "GET", base+"/"+path, ""))
			if reflect.DeepEqual(before, value) {
				t.Fatalf("it is %v before it is set", before)
			}
			check(t, set(on, value))
			same(t, must[T](t)(get(on)), value, "when it is set")
			contains(t, rest(t, "GET", base+"/"+path, ""), value)
			s.checked(of, "Set"+name, "Get"+name)
			if remove == nil {
				return
			}
			check(t, remove(on))
			same(t, must[T](t)(get(on)), before, "when it is removed")
			equal(t, string(rest(t, "GET", base+"/"+path, "")), restBefore, "when it is removed, by REST")
			s.checked(of, "Remove"+name)
		})
	}
}

// Fails unless the body has all fields of the value, or is the value.
func contains(t *testing.T, body []byte, value any) {
	t.Helper()
	var got, want any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	check(t, json.Unmarshal(must[[]byte](t)(json.Marshal(value)), &want))
	if !includes(got, want) {
		t.Fatalf("by REST: got %s, want %v", body, want)
	}
}

func includes(got, want any) bool {
	fields, ok := want.(map[string]any)
	if !ok {
		return reflect.DeepEqual(got, want)
	}
	all, ok := got.(map[string]any)
	for name, field := range fields {
		ok = ok && includes(all[name], field)
	}
	return ok
}
